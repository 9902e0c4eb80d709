"""A store of a package of others: chosen by its name, opened by the daemon's way, and reached by `dgc store`."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from controller.config import ControllerConfig, StoreConfig, load_config
from controller.plugins import STORES
from controller.store.protocol import Membership
from dgc.cli import main
from digitalgrid.plugins.table import find
from tests.support.plugins import install

# What is kept is SQLite's, where ``at`` says.
THEIRS = """
from pathlib import Path
from controller.store.sqlite import SqliteAccess, SqliteStore

class Theirs:
    interface_version = 1
    def open(self, setting):
        return SqliteStore(Path(setting.at))
    def access(self, setting):
        return SqliteAccess(Path(setting.at))
    def problems(self, setting):
        if not setting.at:
            yield "at", "is empty; say where"
    def described(self, setting):
        return f"theirs at {setting.at}"
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "theirs", {STORES.group: {"theirs": "theirs:Theirs"}}, {"theirs": THEIRS})
    return tmp_path


def test_it_is_opened_and_its_tools_work(site: Path) -> None:
    path = site / "dgc.yaml"
    path.write_text(f"store: {{kind: theirs, at: {site}/kept}}\n")
    config = load_config(path)
    plugin = find(STORES, config.store.chosen).load()
    store = plugin.open(config.store_setting)
    assert not isinstance(store, Membership)
    store.load()
    store.close()
    told = CliRunner().invoke(main, ["store", "verify", "--config", str(path)])
    assert (told.exit_code, told.stdout) == (0, "nothing is wrong\n")


def test_what_it_finds_wrong_is_told_by_check_config(site: Path) -> None:
    path = site / "dgc.yaml"
    path.write_text("store: {kind: theirs}\n")
    told = CliRunner().invoke(main, ["check-config", str(path)])
    assert told.exit_code == 2
    assert "is empty; say where" in told.stderr


def test_what_is_built_in_is_chosen_as_before() -> None:
    assert ControllerConfig(store=StoreConfig()).store.chosen == "sqlite"
    for name in ("sqlite", "etcd"):
        assert find(STORES, name).load().interface_version == STORES.interface_version
