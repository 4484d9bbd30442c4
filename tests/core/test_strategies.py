"""The registry of routes: a field of `Route`, a file and a line of the registry each."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from policy_makers import pin, threshold, weighted

from tiermesh_sidecar.core import strategies
from tiermesh_sidecar.core.strategies import STRATEGIES, strategy_for
from tiermesh_sidecar.core.strategies.pin import PinStrategy
from tiermesh_sidecar.core.strategies.threshold import ThresholdStrategy
from tiermesh_sidecar.core.strategies.weighted import WeightedStrategy
from tiermesh_spec.snapshot import Route


def test_every_kind_of_route_has_a_file_and_a_line_and_no_other_has() -> None:
    folder = Path(strategies.__file__).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "base"}
    assert {field.name for field in fields(Route)} == set(STRATEGIES) == files


@pytest.mark.parametrize(
    ("route", "kind"),
    [
        (pin("small"), PinStrategy),
        (weighted(small=1), WeightedStrategy),
        (threshold((None, "small")), ThresholdStrategy),
    ],
)
def test_each_route_gets_its_own_strategy(route: Route, kind: type) -> None:
    assert type(strategy_for(route)) is kind


def test_a_route_without_a_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="a route has one of pin, weighted, threshold"):
        strategy_for(Route())
