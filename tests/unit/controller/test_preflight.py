"""What would make `dgc serve` refuse to start on this machine is found by `dgc check-config`."""

import os
import resource
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from controller import preflight
from controller.config import load_config
from controller.routing.compiled import ENGINE_VARIABLE
from controller.runtime.descriptors import TooFewDescriptors, southbound_connections
from controller.store.sqlite import SqliteStore
from digitalgrid.config_file import ConfigError
from tests.support.northbound import free_port


def complaints(path: Path, text: str) -> list[str]:
    """Of a file that says so, with ports that are free where it names none."""
    file = path / "dgc.yaml"
    if "northbound" not in text:
        text += f"northbound: {{listen: '127.0.0.1:{free_port()}'}}\n"
    if "southbound" not in text:
        text += f"southbound: {{listen: ['127.0.0.1:{free_port()}']}}\n"
    if "store" not in text:
        text += f"store: {{path: {path}/store.sqlite}}\n"
    file.write_text(text)
    try:
        load_config(file, preflight.problems)
    except ConfigError as error:
        return [each.removeprefix(str(file)) for each in str(error).splitlines()]
    return []


def test_the_engine_of_the_environment_is_looked_at_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for known in ("", "auto", "compiled", "interpreted"):
        monkeypatch.setenv(ENGINE_VARIABLE, known)
        assert complaints(tmp_path, "engine: auto\n") == []
    monkeypatch.setenv(ENGINE_VARIABLE, "compield")
    (found,) = complaints(tmp_path, "engine: auto\n")
    assert found.startswith(f":1: 'engine' cannot be taken: {ENGINE_VARIABLE} is 'compield'")


@contextmanager
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_file_that_is_fine_leaves_nothing_behind(tmp_path: Path) -> None:
    assert complaints(tmp_path, "") == []
    assert complaints(tmp_path, f"store: {{path: {tmp_path}/not/yet/there.sqlite}}\n") == []
    assert [each.name for each in tmp_path.iterdir()] == ["dgc.yaml"]


def test_addresses_that_are_taken_or_of_another_machine_are_found_all_at_once(
    tmp_path: Path,
) -> None:
    with listening() as taken:
        found = complaints(
            tmp_path,
            f"northbound: {{listen: '127.0.0.1:{taken}'}}\n"
            "southbound:\n"
            "  listen:\n"
            "    - 203.0.113.7:5000\n"
            "    - no-such-host.invalid:5000\n"
            f"openflow: {{enabled: true, listen: '[2001:db8::7]:{free_port()}'}}\n",
        )
    assert [each.split(":")[1] for each in found] == ["1", "4", "5", "6"]
    assert "Address already in use" in found[0]
    assert "Cannot assign requested address" in found[1]
    assert "is no address of this machine" in found[2]


def test_switches_that_are_off_need_no_address(tmp_path: Path) -> None:
    with listening() as taken:
        assert complaints(tmp_path, f"openflow: {{listen: '127.0.0.1:{taken}'}}\n") == []


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _nonsense(path: Path) -> None:
    path.write_bytes(b"no database, but long enough to be looked at" * 100)


def _empty(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize(
    ("make", "words"),
    [(_fifo, "no regular file"), (_nonsense, "damaged"), (_empty, "it is empty")],
)
def test_a_store_that_is_none_is_found(
    tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    make(tmp_path / "store.sqlite")
    (found,) = complaints(tmp_path, f"store:\n  path: {tmp_path}/store.sqlite\n")
    assert found.startswith(":2: 'store.path' is ")
    assert words in found


def test_a_store_below_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (found,) = complaints(tmp_path, f"store: {{path: {tmp_path}/file/store.sqlite}}\n")
    assert "cannot be reached: Not a directory" in found


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A directory that cannot be written."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    if os.geteuid() != 0:
        yield folder
        return
    # Root may write everywhere but where nobody may.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_directory_that_cannot_be_written_is_found(tmp_path: Path, closed: Path) -> None:
    (found,) = complaints(tmp_path, f"store: {{path: {closed}/store.sqlite}}\n")
    assert "must be writable" in found


def test_a_directory_in_which_nothing_can_be_made_is_found_also_by_root(tmp_path: Path) -> None:
    (found,) = complaints(tmp_path, "store: {path: /proc/no/store.sqlite}\n")
    assert "nothing can be made in the directory /proc " in found


def test_what_is_wrong_with_the_file_hides_nothing_that_is_wrong_on_this_machine(
    tmp_path: Path,
) -> None:
    with listening() as taken:
        found = complaints(
            tmp_path,
            "lease_ms: 900\n"
            f"northbound: {{listen: '127.0.0.1:{taken}', advertize: x}}\n"
            "southbound: {listen: [nowhere]}\n"
            "store: {path: /proc/no/store.sqlite}\n"
            "openflow: {enabled: perhaps}\n",
        )
    words = ("relied on", "did you mean", "in use", "must match", "can be made", "true or false")
    assert [each.split(":")[1] for each in found] == ["1", "2", "2", "3", "4", "5"]
    for each, word in zip(found, words, strict=True):
        assert word in each


def test_what_is_wrong_with_one_default_hides_nothing_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is in the file, so both are of the whole of it."""
    (tmp_path / ".run").touch()
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "dgc.yaml"
    path.write_text("timeouts: {stage_ms: 5000}\n")
    with pytest.raises(ConfigError) as refused:
        load_config(path, preflight.problems)
    assert "relied on" in str(refused.value) and "'store.path' is" in str(refused.value)


def test_a_default_that_stands_in_for_what_is_wrong_is_not_complained_of(tmp_path: Path) -> None:
    with listening() as taken:
        found = complaints(tmp_path, f"metrics: {{listen: '127.0.0.1:{taken}', detail: all}}\n")
        assert len(found) == 2 and "in use" in "".join(found)
    (found_too,) = complaints(tmp_path, "store: {path: ''}\n")
    assert "is empty" in found_too


def test_a_store_that_another_daemon_has_is_found_and_a_closed_one_is_fine(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.sqlite")
    store.load()
    (found,) = complaints(tmp_path, "")
    assert "another daemon uses this store" in found
    store.close()
    assert complaints(tmp_path, "") == []


def test_limits_that_descriptors_do_not_allow_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    assert complaints(tmp_path, "limits: {south_connections: 1800}\n") == []
    (found,) = complaints(tmp_path, "log_level: info\nlimits: {south_connections: 1900}\n")
    assert found.startswith(":2: 'limits' do not fit: this process may open 4096 files")
    assert "ulimit -n" in found


def test_routers_get_what_descriptors_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    assert southbound_connections(2000, 0, routers=100) == 216
    assert southbound_connections(2000, 0, routers=20_000) == 1896
    with pytest.raises(TooFewDescriptors):
        southbound_connections(3890, 0, routers=20_000)


def test_traces_that_cannot_be_made_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = "tracing: {endpoint: '127.0.0.1:4317'}\n"
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    (found,) = complaints(tmp_path, wanted)
    assert "tracing.endpoint" in found and "OTEL_SDK_DISABLED forbids them" in found
