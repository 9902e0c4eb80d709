"""``dgm``: its verbs, what it says of files that cannot be, and that its help is there at once."""

import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.support.exchanges import market_file
from tests.support.ledgers import KEY, Clock, deposit
from trading.cli import main
from trading.exchange import daemon, preflight
from trading.exchange.config import ExchangeConfig, load_config
from trading.exchange.journal import Journal
from trading.exchange.state import State, StateInUse, StateMissing
from trading.ledger.key_files import read_key
from trading.ledger.keys import SigningKey
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


def test_check_config_finds_a_state_directory_that_cannot_be_made(tmp_path: Path) -> None:
    path = tmp_path / "market.yaml"
    path.write_text(market_file(listen="127.0.0.1:0", state_dir="/proc/no/state"))
    bad = CliRunner().invoke(main, ["check-config", str(path)])
    assert bad.exit_code == 2 and "nothing can be made in the directory /proc" in bad.stderr


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
    with pytest.raises(StateMissing, match=r"salts\.key is missing"):
        State(tmp_path)


def begun(directory: Path) -> State:
    """With money in its ledger."""
    state = State(directory)
    Journal(state.journal, "test").close()
    ledger = state.opening_ledger("test", Clock())()
    ledger.write("d1", deposit("ann", 5))
    ledger.close()
    return state


@pytest.mark.parametrize("lost", ["ledger.sqlite", "journal.sqlite", "log.key"])
def test_a_state_of_which_a_part_is_lost_is_not_begun_anew(tmp_path: Path, lost: str) -> None:
    begun(tmp_path)
    (tmp_path / lost).unlink()
    there = sorted(tmp_path.iterdir())
    with pytest.raises(StateMissing, match=rf"{lost} is missing; bring back all"):
        State(tmp_path)
    (trouble,) = preflight._state_troubles(tmp_path)
    assert f"{lost} is missing" in str(trouble)
    assert sorted(tmp_path.iterdir()) == there


@pytest.mark.parametrize("made", range(5))
def test_what_a_first_start_has_left_that_was_killed_goes_on(tmp_path: Path, made: int) -> None:
    state = State(tmp_path)
    state.opening_ledger("test", Clock())().close()
    Journal(state.journal, "test").close()
    order = ("log.key", "salts.key", "ledger.sqlite", "journal.sqlite")
    for name in order[made:]:
        (tmp_path / name).unlink()
    assert not list(preflight._state_troubles(tmp_path))
    begun(tmp_path)


def test_whatever_is_in_a_state_directory_is_its_owners_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    begun(tmp_path)
    (tmp_path / "journal.sqlite").chmod(0o644)
    state = State(tmp_path)
    journal = Journal(state.journal, "test")
    journal.load()
    names = {each.name for each in tmp_path.iterdir()}
    assert "journal.sqlite-wal" in names
    assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}
    journal.close()
    assert state.secret == State(tmp_path).secret


@pytest.mark.parametrize("name", ["log.key", "salts.key", "log.key.next"])
def test_no_second_name_of_a_secret_outlives_the_next_start(tmp_path: Path, name: str) -> None:
    state = begun(tmp_path)
    left = tmp_path / f".{name}.x5_f2k9q.making"
    left.hardlink_to(tmp_path / "log.key")
    state.opening_ledger("test", Clock())().close()
    assert not left.exists()
    assert (tmp_path / "log.key").stat().st_nlink == 1


@pytest.mark.parametrize("killed", [None, "before the log says so", "after it"])
def test_a_log_that_gets_another_key_has_one_wherever_it_is_killed(
    tmp_path: Path, killed: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = begun(tmp_path)
    first = read_key(tmp_path / "log.key")
    ledger = state.opening_ledger("test", Clock())()
    at: dict[str, tuple[type, str]] = {
        "before the log says so": (Ledger, "rotate"),
        "after it": (Path, "replace"),
    }
    if killed is None:
        assert [state.rotate(ledger, "monday").is_new for _ in range(2)] == [True, False]
    else:
        with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
            dying.setattr(*at[killed], die)
            state.rotate(ledger, "monday")
    ledger.close()
    state = State(tmp_path)
    again = state.opening_ledger("test", Clock())()
    is_told = killed != "before the log says so"
    assert (again.public_key != first.public_key) == is_told
    assert (again.rotated("monday") is not None) == is_told
    # Asked for again, it is the same rotation, or the one that was not.
    state.rotate(again, "monday")
    again.write("d2", deposit("ann", 5))
    assert again.public_key == read_key(tmp_path / "log.key").public_key != first.public_key
    assert again.size == 4
    again.close()
    assert not (tmp_path / "log.key.next").exists()
    assert CliRunner().invoke(main, ["store", "verify", str(tmp_path)]).exit_code == 0


@pytest.mark.parametrize("content", [b"", b"00" * 32])
def test_a_next_key_that_the_log_does_not_know_is_never_taken(
    tmp_path: Path, content: bytes
) -> None:
    """Half written, as those of before could be, or whole."""
    state, left = begun(tmp_path), tmp_path / "log.key.next"
    first = read_key(tmp_path / "log.key").public_key

    def lies_about() -> None:
        left.touch(mode=0o600)
        left.write_bytes(content)

    lies_about()
    ledger = state.opening_ledger("test", Clock())()
    assert (ledger.public_key, left.exists()) == (first, False)
    lies_about()
    state.rotate(ledger, "monday")
    assert ledger.public_key not in (first, SigningKey.of_seed(bytes(32)).public_key)
    ledger.close()


def die(*_: object) -> None:
    raise KeyboardInterrupt


def test_meters_that_only_the_log_has_are_told_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "market.yaml"
    path.write_text(market_file())
    with caplog.at_level(logging.WARNING):
        daemon._tell_removed(load_config(path), [])
        assert not caplog.messages
        daemon._tell_removed(load_config(path), [KEY.public_key])
    assert caplog.messages[0].startswith("1 meters") and KEY.public_key.hex() in caplog.text


def test_one_exchange_at_a_time_has_a_state_directory(tmp_path: Path) -> None:
    state = State(tmp_path)
    held = state.lock()
    with pytest.raises(StateInUse, match="another exchange runs on this state_dir; stop it"):
        State(tmp_path).lock()
    os.close(held)
    os.close(State(tmp_path).lock())


def test_what_another_start_would_not_mend_has_a_code_of_its_own(tmp_path: Path) -> None:
    path, state = tmp_path / "market.yaml", tmp_path / "state"
    path.write_text(market_file(listen="127.0.0.1:0", state_dir=str(state)))
    begun(state)
    (state / "ledger.sqlite").unlink()
    run = ["run", "--config", str(path)]
    assert CliRunner().invoke(main, run).exit_code == 2
    (state / "journal.sqlite").write_bytes(b"no database" * 100)
    assert CliRunner().invoke(main, run).exit_code == 2
    # As root may write everywhere, this is what it cannot either.
    path.write_text(market_file(listen="127.0.0.1:0", state_dir=str(path / "state")))
    assert CliRunner().invoke(main, run).exit_code == 2


def test_check_config_says_where_a_relative_state_directory_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("market.yaml").write_text(market_file(listen="127.0.0.1:0", state_dir="state"))
    said = CliRunner().invoke(main, ["check-config", "market.yaml"]).output
    assert f"state_dir is {tmp_path / 'state'}" in said
