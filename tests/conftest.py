"""Options of the tests, and which of them need the machine for themselves.

Which engine runs the kernels: ``pytest --engine checked tests/unit/routing``. On several cores at once:
``pytest -n 2 --dist loadscope -m "not alone"``, and ``pytest -m alone`` afterwards, as ``make test`` does.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from controller.routing.compiled import Engine, use_engine
from tests.support import random_cases
from tests.support.checked_kernels import check_kernels

_CHECKED = "checked"
_TESTS = Path(__file__).parent
# Files and folders whose tests have the marker `alone`: they own what a machine has once (Open vSwitch, the network of
# Mininet), start whole networks and clusters whose members must hear of each other in time, or measure how long
# something takes. All others run beside each other.
ALONE = (
    "chaos/test_accidents.py",
    "conformance",
    "emulation",
    "integration/dgc/test_serve.py",
    "integration/digitalgrid",
    "integration/recovery",
    "integration/router_agent",
    "integration/southbound",
    "integration/store",
    "integration/test_making_room.py",
    "integration/test_start_up.py",
    "integration/topologies",
    "unit/northbound/test_listing.py",
)

random_cases.register_profiles()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        choices=[*Engine, _CHECKED],
        default=Engine.COMPILED,
        help="How kernels run: compiled, interpreted, or interpreted with a look at every access to an array.",
    )
    parser.addoption(
        "--update-pictures",
        action="store_true",
        help="Write the pictures of the documentation anew instead of comparing them.",
    )


def pytest_configure(config: pytest.Config) -> None:
    engine = config.getoption("--engine")
    if engine == _CHECKED:
        check_kernels()
    else:
        use_engine(Engine(engine))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(item.path.is_relative_to(_TESTS / place) for place in ALONE):
            item.add_marker(pytest.mark.alone)


@pytest.fixture(scope="session", autouse=True)
def cases(pytestconfig: pytest.Config) -> Iterator[None]:
    """Random ones, which are the same each time unless others are asked for."""
    explores = pytestconfig.getoption("--hypothesis-profile") == random_cases.EXPLORE
    with nullcontext() if explores else random_cases.without_figures_of_ours():
        yield
