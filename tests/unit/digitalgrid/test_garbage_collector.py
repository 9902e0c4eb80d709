"""The garbage collector while a program loads, and after."""

import gc
from collections.abc import Iterator

import pytest

from digitalgrid.garbage_collector import freeze_loaded, pause_while_loading, spare_old


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.enable()
    gc.set_threshold(*thresholds)


def test_nothing_is_collected_while_modules_are_loaded_and_they_never_are_afterwards() -> None:
    pause_while_loading()
    assert not gc.isenabled()
    freeze_loaded()
    assert gc.isenabled()
    assert gc.get_freeze_count() > 10_000
    assert len(gc.get_objects()) < 1_000


def test_a_router_looks_through_what_is_old_seldom_and_keeps_little_garbage() -> None:
    spare_old()
    youngest, middle, oldest = gc.get_threshold()
    assert 1_000 < youngest <= 10_000
    assert youngest * middle * oldest >= 100_000_000
