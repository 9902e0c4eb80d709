from pathlib import Path

import pytest

from controller.config import ControllerConfig, load_config
from controller.core.settings import CoreSettings, Timeouts
from controller.daemon import core_settings
from digitalgrid.config_file import ConfigError


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
        # Routers count from receipt, so a quarter of a lease is not relied on.
        ("lease_ms: 1333", 1, "999 ms are relied on"),
        ("lease_ms: 1333", 1, "make it 1334 or more"),
        ("\nstore: {etcd: {endpoints: ['a:0']}}", 2, "the lowest port to dial is 1"),
        ("web: {market: 'a:0'}", 1, "the lowest port to dial is 1"),
        ("web: {market: dgm}", 1, "must match"),
        ("southbound:\n  listen:\n   - 127.0.0.1:50051", 3, "clashes with northbound.listen"),
        ("northbound: {listen: '0.0.0.0:50052'}\nsouthbound: {}", 2, "clashes with northbound"),
        ("openflow: {enabled: true, listen: '[::]:50051'}", 1, "clashes with northbound.listen"),
        ("limits: {lsa_per_s: 0}", 1, "at least 0.1"),
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


def test_everything_that_is_wrong_is_said_at_once_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "dgc.yaml"
    path.write_text(
        "northbond: {}\n"
        "northbound: {listen: 5, advertise: 'x:70000'}\n"
        "southbound:\n"
        "  listen: ['a:99999', nowhere, 'b:1']\n"
        "lease_ms: 5s\n"
        "lsa_max_age_s: 0\n"
        "store: {etcd: {lease_ttl_s: 0, prefix: x}}\n"
        "log_level: loud\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    lines = str(caught.value).splitlines()
    assert [int(each.split(":")[1]) for each in lines] == [1, 2, 2, 4, 4, 5, 6, 7, 7, 8]
    assert caught.value.line == 1


def test_a_lease_of_which_enough_is_relied_on_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "dgc.yaml"
    path.write_text("lease_ms: 1334\n")
    timeouts = load_config(path).core_timeouts
    assert timeouts.safe_lease_ns >= timeouts.stage_ms * 1_000_000


def test_the_defaults_of_the_daemon_are_those_of_the_core() -> None:
    assert ControllerConfig().core_timeouts == Timeouts()
    assert core_settings(ControllerConfig()).timeouts == CoreSettings().timeouts


CLUSTER = "store: {etcd: {endpoints: ['10.0.0.1:2379']}}\n"


@pytest.mark.parametrize(
    ("northbound", "key"),
    [
        ("{listen: '0.0.0.0:50051'}", "listen"),
        ("{listen: '[::]:50051'}", "listen"),
        ("{listen: '0.0.0.0:50051', advertise: '0.0.0.0:50051'}", "advertise"),
    ],
)
def test_clients_of_a_cluster_are_not_sent_nowhere(
    tmp_path: Path, northbound: str, key: str
) -> None:
    path = tmp_path / "dgc.yaml"
    path.write_text(f"{CLUSTER}northbound: {northbound}\n")

    with pytest.raises(ConfigError, match=r"set northbound\.advertise to the address") as caught:
        load_config(path)

    assert f"dgc.yaml:2: 'northbound.{key}' is " in str(caught.value)


@pytest.mark.parametrize(
    ("text", "advised"),
    [
        (CLUSTER, True),
        (CLUSTER + "northbound: {listen: 'localhost:50051'}", True),
        (CLUSTER + "northbound: {listen: '10.0.0.1:50051'}", False),
        (CLUSTER + "northbound: {listen: '0.0.0.0:50051', advertise: 'dgc1:50051'}", False),
        ("store: {etcd: {endpoints: ['127.0.0.1:2379', '[::1]:2379', 'localhost:1']}}", False),
        ("northbound: {listen: '0.0.0.0:50051'}", False),
        ("", False),
    ],
)
def test_clients_of_a_cluster_are_hardly_sent_to_loopback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, advised: bool
) -> None:
    path = tmp_path / "dgc.yaml"
    path.write_text(text)

    load_config(path)

    assert ("set northbound.advertise" in caplog.text) is advised
