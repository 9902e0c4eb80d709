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
