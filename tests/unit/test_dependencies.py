"""What setup.cfg declares is what is imported: nothing more, nothing less, and each where it is needed."""

import ast
import configparser
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import (
    Distribution,
    PackageNotFoundError,
    distribution,
    packages_distributions,
)
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("controller", "dgc", "dgctl", "digitalgrid", "router_agent", "topologies", "trading")
OURS = {*PRODUCT, "benchmarks", "examples", "tests"}
# Beside what is always there, these may import what an extra brings.
IN_EXTRAS = {
    "digitalgrid/frames.py": "frames",
    "digitalgrid/tracing": "tracing",
    "topologies/emulator": "emulation",
    "topologies/importers": "study",
    "topologies/market_day/plot.py": "plots",
    "topologies/study": "study",
    "benchmarks": "bench",
}
# Needed and never imported: programs, and what others import.
NOT_IMPORTED = {
    "emulation": {"setuptools"},
    "proto": {"grpcio-tools", "mypy-protobuf"},
    "test": {"import-linter", "mypy", "pytest-timeout", "ruff", "types-protobuf"},
}
# Installed by `make` into an environment of its own.
OF_OTHERS = {"ortools"}


def declared() -> dict[str, set[str]]:
    """Distributions by extra; the empty one is what is always installed."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lists = {"": config["options"]["install_requires"], **config["options.extras_require"]}
    return {extra: set(_names(text)) for extra, text in lists.items()}


def _names(requirements: str) -> Iterator[str]:
    for line in requirements.splitlines():
        match = re.match(r"[A-Za-z0-9_.-]+", line.strip())
        if match:
            yield normalised(match[0])


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imports(folder: str) -> Iterator[tuple[Path, str]]:
    """Every file of a folder with each module of others that it imports."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        if path.name.endswith(("_pb2.py", "_pb2_grpc.py")):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom) and not node.level
                else []
            )
            for name in names:
                top = name.partition(".")[0]
                if top not in sys.stdlib_module_names and top not in OURS:
                    yield path.relative_to(ROOT), name


@cache
def distributions() -> Mapping[str, list[str]]:
    return packages_distributions()


def distributions_of(module: str) -> set[str]:
    """Several share a name: ``google`` is protobuf's and that of the types of google.rpc."""
    if module.startswith("google.rpc"):
        return {"googleapis-common-protos"}
    if module.startswith("google.protobuf"):
        return {"protobuf"}
    found = distributions().get(module.partition(".")[0], [])
    return {normalised(name) for name in found}


@pytest.mark.parametrize("folder", [*PRODUCT, "benchmarks", "tests"])
def test_what_is_imported_is_declared_where_it_is_imported(folder: str) -> None:
    lists = declared()
    everything = set().union(*lists.values())
    undeclared = []
    for path, module in imports(folder):
        allowed = set(lists[""])
        for place, extra in IN_EXTRAS.items():
            if path.is_relative_to(place):
                allowed |= lists[extra]
        if folder in ("benchmarks", "tests"):
            allowed |= everything | OF_OTHERS
        known = distributions_of(module) or {normalised(module.partition(".")[0])}
        if not known & allowed:
            undeclared.append(f"{path}: {module}")
    assert undeclared == []


@pytest.mark.parametrize(
    "extra", ["", "emulation", "frames", "study", "tracing", "bench", "test", "proto"]
)
def test_what_is_declared_is_imported(extra: str) -> None:
    folders = {"bench": ("benchmarks",), "test": ("tests",)}.get(extra, PRODUCT)
    used: set[str] = set()
    for folder in folders:
        for _, module in imports(folder):
            used |= distributions_of(module)
    used |= {requirement(each) for each in named_in_text()}
    assert declared()[extra] - NOT_IMPORTED.get(extra, set()) - used == set()


def named_in_text() -> Iterator[str]:
    """Of what is imported by name: ``require("pandapower")``."""
    for path in (ROOT / "topologies").rglob("*.py"):
        yield from re.findall(r'require\("(\w+)', path.read_text(encoding="utf-8"))


def requirement(module: str) -> str:
    return next(iter(distributions_of(module)), normalised(module))


# What whoever runs the product need not have: programs beside it. A library under these terms would be part of it.
_TERMS = re.compile(r"\b(?:A?GPL|GNU (?:Affero )?General Public)", re.IGNORECASE)
_LESSER = re.compile(r"\bLGPL|Lesser General Public", re.IGNORECASE)


def terms_of(found: Distribution) -> list[str]:
    """What a distribution says of its licence: an SPDX expression, a name, classifiers; or the name alone of a text."""
    metadata = found.metadata
    fields = metadata.get_all("License-Expression") or metadata.get_all("License") or []
    said = [field.strip().splitlines()[0] for field in fields if field.strip()]
    classifiers = metadata.get_all("Classifier") or []
    return said + [each for each in classifiers if each.startswith("License ::")]


def is_copyleft(terms: str) -> bool:
    """One choice of several is enough to have another: "Apache-2.0 OR GPL-2.0"."""
    choices = re.split(r"\bOR\b", terms)
    return all(_TERMS.search(_LESSER.sub("", each)) for each in choices)


def needed(names: set[str]) -> dict[str, Distribution]:
    """These and all that they need, as far as it is installed."""
    found: dict[str, Distribution] = {}
    waiting = sorted(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        for each in found[name].requires or ():
            if "extra ==" not in each:
                waiting += list(_names(each))
    return found


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ("GPL-3.0-or-later", True),
        ("GPLv3+", True),
        ("AGPL-3.0", True),
        ("License :: OSI Approved :: GNU General Public License v3 (GPLv3)", True),
        ("GNU Affero General Public License v3", True),
        ("LGPL-2.1", False),
        ("License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)", False),
        ("Apache-2.0 OR GPL-2.0", False),
        ("BSD-3-Clause", False),
    ],
)
def test_terms_are_told_apart(terms: str, expected: bool) -> None:
    assert is_copyleft(terms) is expected


# Peers that the routing engine is measured against, and what they need: no part of what anybody installs.
_MEASURED_AGAINST = {"igraph", "levenshtein"}


@pytest.mark.parametrize(("with_bench", "expected"), [(False, set()), (True, _MEASURED_AGAINST)])
def test_nothing_of_the_product_or_an_extra_is_under_the_gpl_or_agpl_but_peers(
    with_bench: bool, expected: set[str]
) -> None:
    """What each distribution says of itself is read, so that a new one cannot slip in."""
    lists = declared()
    names = [lists[each] for each in lists if each != "bench" or with_bench]
    found = needed(set().union(*names))
    assert {"cryptography", "grpcio", "numpy"} <= set(found), "this reads nothing"
    assert [name for name, each in found.items() if not terms_of(each)] == []
    under = {name for name, each in found.items() if any(map(is_copyleft, terms_of(each)))}
    assert under == expected
