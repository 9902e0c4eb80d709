"""Every test of the suite runs with every kind of store: who adds one adds it to BACKENDS.

Those of packages of others run with ``--store-backend NAME=MODULE:CLASS``, of a `Backend`.
"""

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.backends import Backend, SqliteBackend
from tests.conformance.etcd_backend import SHARED_ETCD, EtcdBackend
from tests.conformance.journal_backend import JournalBackend
from tests.support.plugins import install_example

BackendFactory = Callable[[Path], Backend]

BACKENDS: dict[str, BackendFactory] = {
    "etcd": EtcdBackend,
    "journal": JournalBackend,
    "sqlite": SqliteBackend,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    kinds = dict(BACKENDS)
    for each in metafunc.config.getoption("--store-backend"):
        name, _, place = each.partition("=")
        module, _, factory = place.partition(":")
        kinds[name] = getattr(importlib.import_module(module), factory)
    BACKENDS.update(kinds)
    for fixture in ("kind", "other_kind"):
        if fixture in metafunc.fixturenames:
            metafunc.parametrize(fixture, sorted(BACKENDS))


@pytest.fixture(scope="session", autouse=True)
def _stop_etcd() -> Iterator[None]:
    yield
    SHARED_ETCD.stop()


@pytest.fixture(scope="session", autouse=True)
def _examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Installed, as packages of others are."""
    site = tmp_path_factory.mktemp("site")
    install_example(site, "journal")
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(site)
        yield


@pytest.fixture
def new_backend(tmp_path: Path) -> Iterator[Callable[[str], Backend]]:
    """Makes a store of a kind; discarded after the test."""
    made: list[Backend] = []

    def make(kind: str) -> Backend:
        directory = tmp_path / f"{kind}-{len(made)}"
        directory.mkdir()
        backend = BACKENDS[kind](directory)
        made.append(backend)
        return backend

    yield make
    for backend in made:
        backend.discard()


@pytest.fixture
def backend(kind: str, new_backend: Callable[[str], Backend]) -> Backend:
    return new_backend(kind)


@pytest.fixture
def other_backend(other_kind: str, new_backend: Callable[[str], Backend]) -> Backend:
    """A second store, of each kind in turn."""
    return new_backend(other_kind)
