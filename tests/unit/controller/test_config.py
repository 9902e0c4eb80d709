from pathlib import Path

import pytest

from controller.config import ControllerConfig, load_config
from digitalgrid.yaml_schema import ConfigError


def test_every_key_has_a_default(tmp_path: Path) -> None:
    path = tmp_path / "dgc.yaml"
    path.write_text("")
    assert load_config(path) == load_config() == ControllerConfig()
    assert load_config().southbound.listen == ("127.0.0.1:50052",)


def test_reads_what_is_given(tmp_path: Path) -> None:
    path = tmp_path / "dgc.yaml"
    path.write_text(
        "southbound: {listen: ['127.0.0.1:0', '[::1]:50052']}\n"
        "openflow: {enabled: true}\n"
        "timeouts: {stage_ms: 500}\n"
        "lsa_max_age_s: 9\n"
        "log_level: debug\n"
    )
    config = load_config(path)
    assert config.southbound.listen == ("127.0.0.1:0", "[::1]:50052")
    assert config.openflow.enabled
    assert config.openflow.listen == "127.0.0.1:6653"
    assert config.timeouts.stage_ms == 500
    assert config.lsa_max_age_s == 9.0
    assert config.log_level == "debug"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("lease: 5", 1, "did you mean 'lease_ms'"),
        ("lease_ms: 2s", 1, "milliseconds"),
        ("lsa_max_age_s: 5min", 1, "seconds"),
        ("\nlease_ms: 1000", 2, "must outlast timeouts.stage_ms"),
        ("northbound: {listen: 50051}", 1, "must be text"),
        ("northbound: {listen: localhost}", 1, "must match"),
        ("northbound: {listen: 'localhost:65536'}", 1, "highest port"),
        ("southbound:\n  listen: []", 2, "is empty"),
        ("southbound:\n  listen:\n    - a:1\n    - a:99999", 4, "'listen[1]' is 'a:99999'"),
        ("store: {path: ''}", 1, "is empty"),
        ("store:\n  path: /", 2, "'path' is '/', which is a directory; name a file"),
        ("store: {path: .}", 1, "which is a directory"),
        ("store: {path: absent/}", 1, "which is a directory"),
        ("log_level: loud", 1, "one of: debug, info"),
    ],
)
def test_refuses_with_the_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = tmp_path / "dgc.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert f"dgc.yaml:{line}: " in str(caught.value)
    assert words in str(caught.value)
