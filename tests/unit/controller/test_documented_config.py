"""The documented configuration files are taken as they stand, and say what the defaults are."""

from dataclasses import fields
from pathlib import Path

from controller.config import ControllerConfig, load_config
from router_agent.config import RouterConfig
from router_agent.config import load_config as load_router_config

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


def test_the_documented_controller_file_has_every_key_at_its_default() -> None:
    path = EXAMPLES / "controller.yaml"
    assert load_config(path) == ControllerConfig()
    text = path.read_text()
    assert [each.name for each in fields(ControllerConfig) if each.name not in text] == []


def test_the_documented_router_file_has_every_key() -> None:
    path = EXAMPLES / "router.yaml"
    config = load_router_config(path)
    assert [each.name for each in fields(RouterConfig) if each.name not in path.read_text()] == []
    defaults = RouterConfig(router_id="r1")
    for name in ("tick_interval_ms", "hello_interval_ms", "hello_slack_ms", "frame_bytes"):
        assert getattr(config, name) == getattr(defaults, name)


def test_the_files_of_the_cluster_to_try_fit_together() -> None:
    cluster = EXAMPLES / "cluster"
    controllers = [load_config(path) for path in sorted(cluster.glob("dgc*.yaml"))]
    routers = [load_router_config(path) for path in sorted(cluster.glob("r*.yaml"))]
    southbound = tuple(address for each in controllers for address in each.southbound.listen)
    assert [each.name for each in controllers] == ["dgc1", "dgc2", "dgc3"]
    assert len({each.store.etcd for each in controllers}) == 1
    assert [each.controllers for each in routers] == [southbound] * 3
    ends = {(link.local, link.remote) for each in routers for link in each.links}
    assert len(ends) == 6
    assert {(remote, local) for local, remote in ends} == ends
