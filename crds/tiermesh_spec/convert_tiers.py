"""From valid ModelTiers to the tiers of a snapshot: defaults filled in, units converted."""

from __future__ import annotations

from tiermesh_spec import backends, model_tier
from tiermesh_spec.addresses import decoded_bundle, normalized
from tiermesh_spec.quantities import milliseconds, picodollars_per_token
from tiermesh_spec.snapshot.tiers import (
    Backend,
    Credentials,
    DataHandling,
    OutlierDetection,
    Price,
    SecretKey,
    Tier,
)
from tiermesh_spec.tier_refs import Resolved


def tier_of(resolved: Resolved) -> Tier:
    """The tier under the name that the policy gives it."""
    spec, namespace = resolved.tier.spec, resolved.source.namespace
    return Tier(
        name=resolved.name,
        resource=f"{namespace}/{resolved.source.name}",
        rank=spec.rank,
        aliases=spec.aliases,
        capabilities=frozenset(str(capability) for capability in spec.capabilities),
        context_window=spec.context_window,
        max_output_tokens=spec.max_output_tokens,
        outlier_detection=_outlier_detection(spec.outlier_detection),
        backends=tuple(_backend(backend, spec, namespace) for backend in spec.backends),
    )


def _outlier_detection(detection: model_tier.OutlierDetection) -> OutlierDetection:
    return OutlierDetection(
        consecutive_failures=detection.consecutive_failures,
        eject_for_ms=milliseconds(detection.eject_for),
        max_eject_for_ms=milliseconds(detection.max_eject_for),
        when_all_ejected=detection.when_all_ejected,
    )


def _backend(backend: backends.Backend, spec: model_tier.ModelTierSpec, namespace: str) -> Backend:
    bundle = backend.target.ca_bundle
    price = backend.price if backend.price is not None else spec.price
    return Backend(
        name=backend.name,
        provider=backend.provider,
        model=backend.model,
        url=normalized(backend.target.url or ""),
        ca_bundle=decoded_bundle(bundle) if bundle is not None else None,
        credentials=_credentials(backend.credentials, namespace),
        priority=backend.priority,
        weight=backend.weight,
        price=_price(price) if price is not None else None,
        data=_data(backend.data if backend.data is not None else spec.data),
    )


def _credentials(credentials: backends.Credentials, namespace: str) -> Credentials:
    ref = credentials.secret_ref
    return Credentials(
        secret=SecretKey(namespace=namespace, name=ref.name, key=ref.key) if ref else None,
        pass_through=credentials.pass_through is not None,
    )


def _price(price: backends.Price) -> Price:
    given = price.input_per_million_tokens
    return Price(
        input=picodollars_per_token(given),
        output=picodollars_per_token(price.output_per_million_tokens),
        cached_input=picodollars_per_token(price.cached_input_per_million_tokens or given),
        cache_write=picodollars_per_token(price.cache_write_per_million_tokens or given),
    )


def _data(data: backends.Data) -> DataHandling:
    return DataHandling(
        region=data.region, classifications=data.classifications, retention=data.retention
    )
