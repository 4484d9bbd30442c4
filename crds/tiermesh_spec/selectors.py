"""Label selectors, from the resource's form to the snapshot's."""

from __future__ import annotations

from tiermesh_spec.metadata import LabelSelector
from tiermesh_spec.snapshot.policies import Selector, SelectorRequirement


def selector_of(selector: LabelSelector) -> Selector:
    return Selector(
        match_labels=tuple(sorted(selector.match_labels.items())),
        match_expressions=tuple(
            SelectorRequirement(
                key=requirement.key,
                operator=requirement.operator,
                values=requirement.values or (),
            )
            for requirement in selector.match_expressions
        ),
    )
