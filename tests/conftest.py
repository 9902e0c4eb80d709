"""Options of the tests. Which engine runs the kernels: ``pytest --engine checked tests/unit/routing``."""

import gc
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from controller.routing.compiled import ENGINE_VARIABLE, Engine, use_engine
from tests.support import lanes, random_cases
from tests.support.checked_kernels import are_looked_at, check_kernels

_CHECKED = "checked"

random_cases.register_profiles()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        choices=[*Engine, _CHECKED],
        default=Engine.COMPILED,
        help="How kernels run: compiled, interpreted, or interpreted with a look at every access to an array.",
    )
    parser.addoption(
        "--share",
        type=float,
        default=1.0,
        help="Of the random cases of the routing engine's properties.",
    )
    parser.addoption(
        "--part",
        type=lanes.Part,
        choices=[*lanes.Part],
        help="Of all tests, those that run together: see tests/support/lanes.py.",
    )
    parser.addoption(
        "--store-backend",
        action="append",
        default=[],
        metavar="NAME=MODULE:CLASS",
        help="A kind of store of a package of others, for tests/conformance.",
    )
    parser.addoption(
        "--update-pictures",
        action="store_true",
        help="Write the pictures of the documentation anew instead of comparing them.",
    )


def pytest_configure(config: pytest.Config) -> None:
    random_cases.have_share(config.getoption("--share"))
    engine = config.getoption("--engine")
    if engine == _CHECKED:
        check_kernels()
    else:
        use_engine(Engine(engine))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Thousands of tests and all that they import stay to the end: searches for garbage look through none of it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """No test leaves those after it without the look that was asked for."""
    if item.config.getoption("--engine") == _CHECKED and not are_looked_at():
        check_kernels()
        pytest.fail("it chooses an engine: mark it `engines`, and leave it out")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files of other parts are not imported either; None leaves it to others."""
    part = config.getoption("--part")
    if part is None or collection_path.is_dir() or lanes.part_of(collection_path) is part:
        return None
    return True


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> lanes.Lanes:
    return lanes.Lanes(config, log)


@pytest.fixture(scope="session", autouse=True)
def cases(pytestconfig: pytest.Config) -> Iterator[None]:
    """Random ones, which are the same each time unless others are asked for."""
    explores = pytestconfig.getoption("--hypothesis-profile") == random_cases.EXPLORE
    with nullcontext() if explores else random_cases.without_figures_of_ours():
        yield


@pytest.fixture
def engine_of_controllers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that a test starts load no kernels, which takes each of them seconds; by ``on_both_engines`` they do."""
    engine = getattr(request, "param", Engine.INTERPRETED)
    monkeypatch.setenv(ENGINE_VARIABLE, engine)
    if engine != Engine.INTERPRETED:
        # Else the daemon would, in the background; here only, as it imports all that is compiled.
        from controller.computing.warm_up import compile_all

        compile_all()
