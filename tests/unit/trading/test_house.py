"""The trading plane beside the controller: what its contracts list is all that there is."""

import ast
import configparser
import pkgutil
from pathlib import Path

import pytest

import controller
from digitalgrid.plugins.table import find
from trading.mechanisms.mechanism import Mechanism
from trading.plugins import MECHANISMS

ROOT = Path(__file__).resolve().parents[3]


def test_of_the_controller_a_market_may_import_the_routing_kernels_only() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    forbidden = config["importlinter:contract:market-beside-controller"]["forbidden_modules"]
    rooms = {f"controller.{room.name}" for room in pkgutil.iter_modules(controller.__path__)}
    assert set(forbidden.split()) - {"router_agent"} == rooms - {"controller.routing"}


def test_no_mechanism_and_no_rule_of_the_core_draws_or_tells_the_time_by_itself() -> None:
    for folder in ("core", "mechanisms"):
        for path in (ROOT / "trading" / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    names = [alias.name for alias in node.names]
                    names.append(getattr(node, "module", "") or "")
                    assert not {"random", "datetime", "os", "secrets"} & set(names), path


@pytest.mark.parametrize("name", MECHANISMS.built_in)
def test_each_mechanism_that_is_built_in_is_what_the_interface_says(name: str) -> None:
    mechanism: Mechanism = find(MECHANISMS, name).load()
    assert callable(mechanism.clear)
