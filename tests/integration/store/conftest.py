from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.integration.store.members import Cluster
from tests.support.etcd_cluster import EtcdCluster, require_etcd

_prefixes = count(1)


@pytest.fixture(scope="session")
def shared_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    """One etcd for all tests that do it no harm; each has a prefix of its own."""
    require_etcd()
    with EtcdCluster(tmp_path_factory.mktemp("etcd")) as etcd:
        yield etcd


@pytest.fixture
def own_etcd(tmp_path: Path) -> Iterator[EtcdCluster]:
    """For tests that kill its members."""
    require_etcd()
    with EtcdCluster(tmp_path) as etcd:
        yield etcd


@pytest.fixture
def meet() -> Iterator[Callable[[EtcdCluster], Cluster]]:
    """Makes a cluster of controllers, which is closed before its etcd."""
    clusters: list[Cluster] = []

    def make(etcd: EtcdCluster) -> Cluster:
        clusters.append(Cluster(etcd.endpoints, f"/test{next(_prefixes)}"))
        return clusters[-1]

    yield make
    for each in clusters:
        each.close()


@pytest.fixture
def cluster(shared_etcd: EtcdCluster, meet: Callable[[EtcdCluster], Cluster]) -> Cluster:
    return meet(shared_etcd)
