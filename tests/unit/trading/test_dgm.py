"""``dgm``: its verbs, what it says of files that cannot be, and that its help is there at once."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.support.exchanges import market_file
from tests.support.ledgers import KEY, Clock, deposit
from trading.cli import main
from trading.exchange.config import ExchangeConfig
from trading.exchange.state import State, StateMissing
from trading.ledger.ledger import Ledger
from trading.ledger.sqlite_storage import SqliteStorage


def test_check_config_says_good_or_all_that_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "market.yaml"
    path.write_text(market_file(listen="127.0.0.1:0", state_dir=str(tmp_path / "state")))
    good = CliRunner().invoke(main, ["check-config", str(path)])
    assert (good.exit_code, good.output) == (0, f"{path}: fine\n")
    path.write_text(market_file(market={"mechanisms": ["cal"], "gate_s": 0}, tarif={}))
    bad = CliRunner().invoke(main, ["check-config", str(path)])
    assert bad.exit_code == 2
    assert "did you mean 'tariff'?" in bad.stderr and "gate_s' is 0.0" in bad.stderr


def test_check_config_finds_mechanisms_addresses_and_keys_that_are_not_there(
    tmp_path: Path,
) -> None:
    path, state = tmp_path / "market.yaml", tmp_path / "state"
    state.mkdir()
    (state / "ledger.sqlite").touch()
    (state / "salts.key").touch(mode=0o644)
    text = market_file(
        market={"mechanisms": ["cal"]}, listen="no.such.host.:1", state_dir=str(state)
    )
    path.write_text(text)
    said = CliRunner().invoke(main, ["check-config", str(path)]).stderr
    assert "no market mechanism 'cal' is installed" in said
    assert "cannot be listened on" in said
    assert "has a ledger, and log.key is missing" in said
    assert "can be used by others" in said


def test_run_needs_a_file_and_ends_with_the_daemons_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "market.yaml"
    path.write_text(market_file())
    ran: list[ExchangeConfig] = []

    def run(config: ExchangeConfig) -> int:
        ran.append(config)
        return 7

    monkeypatch.setattr("trading.exchange.daemon.run", run)
    assert CliRunner().invoke(main, ["run", "--config", str(path)]).exit_code == 7
    assert ran[0].market.name == "test"
    assert CliRunner().invoke(main, ["run"]).exit_code == 2
    assert CliRunner().invoke(main, ["run", "--config", str(tmp_path / "no")]).exit_code == 2


def test_keygen_prints_the_public_half_and_writes_over_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ann.key"
    made = CliRunner().invoke(main, ["keygen", str(path)])
    assert len(bytes.fromhex(made.output.strip())) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = CliRunner().invoke(main, ["keygen", str(path)])
    assert again.exit_code == 1 and "no key is ever written over" in again.stderr


def test_store_verify_reads_all_of_the_log_and_names_what_was_altered(tmp_path: Path) -> None:
    ledger = Ledger(SqliteStorage(tmp_path / "ledger.sqlite"), KEY, Clock(), "test")
    ledger.write("d1", deposit("ann", 5))
    good = CliRunner().invoke(main, ["store", "verify", str(tmp_path)])
    assert good.exit_code == 0
    assert good.output.startswith(
        "2 entries, all as they were signed; 5 nano in all, 0 escrows open"
    )
    ledger.close()
    database = (tmp_path / "ledger.sqlite").read_bytes()
    (tmp_path / "ledger.sqlite").write_bytes(database.replace(b"ann", b"bob"))
    bad = CliRunner().invoke(main, ["store", "verify", str(tmp_path)])
    assert bad.exit_code == 1 and "entry 1" in bad.stderr
    assert "there is no ledger" in CliRunner().invoke(main, ["store", "verify", "/"]).stderr


def test_help_loads_nothing_that_a_verb_needs() -> None:
    code = "from trading.cli import main; import sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"grpc", "numpy", "msgspec", "cryptography", "yaml", "asyncio"} & set(loaded)


def test_a_ledger_without_its_keys_is_not_begun_anew(tmp_path: Path) -> None:
    state = State(tmp_path)
    assert stat.S_IMODE((tmp_path / "log.key").stat().st_mode) == 0o600
    state.opening_ledger("test", Clock())().close()
    assert State(tmp_path).secret == state.secret
    (tmp_path / "salts.key").unlink()
    with pytest.raises(StateMissing, match="bring it back"):
        State(tmp_path)
