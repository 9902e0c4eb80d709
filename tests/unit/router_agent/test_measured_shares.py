"""``python -m benchmarks.missing_energy`` notices a source's router that shares out otherwise, or tells nobody."""

import random
from collections.abc import Sequence
from math import inf

import pytest

from benchmarks.missing_energy import Row, due_w, source_drops
from digitalgrid.sharing import Claim
from router_agent.device import rates
from tests.support.source_chain import POWER_W, SourceChain


def test_what_is_due_are_floors_and_then_one_after_the_other() -> None:
    assert due_w(6.0, [(2.0, 0.0), (3.0, 0.5), (2.0, 1.0), (1.0, 0.5)]) == [2.0, 2.5, 1.0, 0.5]
    assert due_w(9.0, [(2.0, 0.0), (3.0, 0.5)]) == [2.0, 3.0]


def test_the_rule_is_kept_and_all_are_told() -> None:
    wrong_w, told_ms = source_drops(100, random.Random(1))
    assert Row("granted otherwise", [wrong_w], (0.0, 0.0)).kept
    assert told_ms < 100


def test_a_router_that_shares_in_proportion_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_proportion(available_w: float, claims: Sequence[Claim]) -> list[float]:
        part = min(1.0, available_w / (sum(claim.asked_w for claim in claims) or 1.0))
        return [part * claim.asked_w for claim in claims]

    monkeypatch.setattr(rates, "share_out", in_proportion)
    wrong_w, _ = source_drops(100, random.Random(1))
    assert wrong_w > 0.1 * POWER_W


def test_a_load_that_is_never_told_is_a_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SourceChain, "news", lambda *_: [])
    _, told_ms = source_drops(100, random.Random(1))
    assert told_ms == inf
    assert not Row("until told", [told_ms], (None, 100.0)).kept


def test_a_figure_is_judged_before_it_is_rounded() -> None:
    assert not Row("granted otherwise", [0.04], (0.0, 0.0)).kept
    assert Row("granted otherwise", [1e-5], (0.0, 0.0)).kept
