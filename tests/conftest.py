"""Options of the tests. Which engine runs the kernels: ``pytest --engine checked tests/unit/routing``."""

import pytest

from controller.routing.compiled import Engine, use_engine
from tests.support.checked_kernels import check_kernels

_CHECKED = "checked"


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
