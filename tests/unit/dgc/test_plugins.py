"""`dgc plugins` and `dgc check-config`: what is installed, and what of it cannot be used."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dgc.cli import main
from tests.support.northbound import free_port
from tests.support.plugins import install, install_example


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def listed(*words: str) -> tuple[int, list[dict[str, str]]]:
    result = CliRunner().invoke(main, ["plugins", "-o", "json", *words])
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


def test_what_is_built_in_and_what_is_installed_are_listed_with_version_and_package(
    site: Path,
) -> None:
    install_example(site, "greedy")
    code, rows = listed()
    assert code == 0
    assert {each["name"]: each["package"].partition(" ")[0] for each in rows} == {
        "least-loss": "digitalgrid",
        "greedy": "digitalgrid-greedy",
        "sqlite": "digitalgrid",
        "etcd": "digitalgrid",
    }
    assert [each["package"] for each in rows if each["name"] == "greedy"] == [
        "digitalgrid-greedy 0.1.0"
    ]
    assert "greedy" in CliRunner().invoke(main, ["plugins"]).stdout


def test_one_that_cannot_be_used_is_marked_and_ends_with_another_exit_code(site: Path) -> None:
    group = "digitalgrid.routing_algorithms"
    install(site, "broken", {group: {"broken": "broken_algorithm:X"}}, {"broken_algorithm": "1/0"})
    code, rows = listed()
    assert code == 1
    (wrong,) = [each["wrong"] for each in rows if each["wrong"]]
    assert "'broken' of package broken 1.0" in wrong


@pytest.mark.parametrize(
    ("section", "text", "told"),
    [
        ("routing", "{algorithm: greedy}", "no routing algorithm 'greedy' is installed"),
        ("routing", "{algorithm: broken}", "'broken' of package broken 1.0"),
        ("store", "{kind: broken}", "no store 'broken' is installed"),
        ("store", "{kind: sqlite, at: here}", "leave it out"),
        ("store", "{kind: etcd}", "store.etcd.endpoints names none"),
    ],
)
def test_a_configuration_that_chooses_what_cannot_be_used_is_refused_where_it_does(
    site: Path, section: str, text: str, told: str
) -> None:
    group = "digitalgrid.routing_algorithms"
    install(site, "broken", {group: {"broken": "broken_algorithm:X"}}, {"broken_algorithm": "1/0"})
    path = site / "dgc.yaml"
    path.write_text(
        f"{section}: {text}\nnorthbound: {{listen: '127.0.0.1:{free_port()}'}}\n"
        f"southbound: {{listen: ['127.0.0.1:{free_port()}']}}\n"
    )
    result = CliRunner().invoke(main, ["check-config", str(path)])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{path}:1: ")
    assert told in result.stderr
