"""Every test of the suite runs with every kind of store: who adds one adds it to BACKENDS."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conformance.backends import Backend, SqliteBackend
from tests.conformance.etcd_backend import SHARED_ETCD, EtcdBackend

BackendFactory = Callable[[Path], Backend]

BACKENDS: dict[str, BackendFactory] = {"etcd": EtcdBackend, "sqlite": SqliteBackend}


@pytest.fixture(scope="session", autouse=True)
def _stop_etcd() -> Iterator[None]:
    yield
    SHARED_ETCD.stop()


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


@pytest.fixture(params=sorted(BACKENDS))
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def backend(kind: str, new_backend: Callable[[str], Backend]) -> Backend:
    return new_backend(kind)


@pytest.fixture(params=sorted(BACKENDS))
def other_backend(request: pytest.FixtureRequest, new_backend: Callable[[str], Backend]) -> Backend:
    """A second store, of each kind in turn."""
    return new_backend(request.param)
