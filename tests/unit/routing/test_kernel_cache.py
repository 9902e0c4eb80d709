"""Where compiled kernels are kept, for whom, and until when they are believed."""

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from controller.computing import engines, warm_up
from controller.routing import compiled, kernel_cache
from controller.routing.compiled import KernelsUnreadable, are_kept, forget, load
from controller.routing.kernel_cache import HALF_NAMES, cache_dir, place_for
from tests.support.northbound import in_loop

pytestmark = pytest.mark.engines
NAME = "kernels-0"
NOBODY = 65534
# Imports come first: afterwards the tree may not be this user's to read. It writes as numba does, a level deeper.
AS_NOBODY = """
import os, sys
from pathlib import Path
from controller.routing.kernel_cache import place_for
os.setgroups([]); os.setgid(65534); os.setuid(65534)
place = place_for("kernels-0", Path(sys.argv[1]))
(place / "paths").mkdir(parents=True, exist_ok=True)
(place / "paths" / "kernel.nbi").write_bytes(b"")
print(place)
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has somebody else's files")


@pytest.fixture
def sources() -> Iterator[Path]:
    """A directory that everybody can reach, of this user: pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory) / "__pycache__"


def place_of_nobody(beside_sources: Path, xdg_cache: Path) -> Path:
    found = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(beside_sources)],
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
        env=os.environ | {"XDG_CACHE_HOME": str(xdg_cache)},
    )
    return Path(found.stdout.strip())


def keep_all_in(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for half in HALF_NAMES:
        (directory / f"{half}.kernels").write_bytes(pickle.dumps([]))


def test_kernels_are_kept_beside_sources_that_are_ones_own(sources: Path) -> None:
    assert place_for(NAME, sources) == sources / NAME


@as_root
@pytest.mark.parametrize("left_by_root", [".", "__pycache__", f"__pycache__/{NAME}/paths"])
def test_a_user_never_writes_where_root_was_first(sources: Path, left_by_root: str) -> None:
    tree = sources.parent
    own = tree / "cache"
    own.mkdir()
    of_root = tree / left_by_root
    of_root.mkdir(parents=True, exist_ok=True)
    above = [each for each in of_root.parents if each.is_relative_to(tree)]
    for each in (own, *above):
        os.chown(each, NOBODY, NOBODY)
    assert place_of_nobody(sources, own) == own / "digitalgrid" / NAME


@as_root
def test_a_user_of_own_sources_keeps_kernels_beside_them(sources: Path) -> None:
    os.chown(sources.parent, NOBODY, NOBODY)
    assert place_of_nobody(sources, sources.parent / "cache") == sources / NAME


@as_root
def test_root_reads_what_a_user_has_compiled_and_leaves_nothing_there(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    os.chown(sources.parent, NOBODY, NOBODY)
    assert place_for(NAME, sources) == tmp_path / "digitalgrid" / NAME
    keep_all_in(sources / NAME)
    assert place_for(NAME, sources) == sources / NAME


def test_what_another_numba_python_or_processor_compiled_is_not_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = cache_dir.__wrapped__()
    with monkeypatch.context() as patch:
        patch.setattr(kernel_cache, "version", lambda _: "0.0")
        assert cache_dir.__wrapped__().name != before.name
    with monkeypatch.context() as patch:
        patch.setattr(sys, "version", "3.99")
        assert cache_dir.__wrapped__().name != before.name
    with monkeypatch.context() as patch:
        patch.setenv("NUMBA_CPU_NAME", "generic")
        assert cache_dir.__wrapped__().name != before.name
    assert cache_dir.__wrapped__() == before


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache whose lists are there, and cannot be read."""
    monkeypatch.setattr(compiled, "cache_dir", cache(lambda: tmp_path))
    for half in HALF_NAMES:
        (tmp_path / f"{half}.kernels").write_bytes(b"damaged")
    (tmp_path / "paths").mkdir()
    (tmp_path / "paths" / "kernel.nbi").write_bytes(b"damaged")
    return tmp_path


def test_what_does_not_load_can_be_forgotten(damaged: Path) -> None:
    with pytest.raises(KernelsUnreadable, match="search"):
        load("search")
    forget()
    assert not any(are_kept(half) for half in HALF_NAMES)
    assert not list(damaged.rglob("*.nbi"))


def test_an_engine_that_does_not_load_is_compiled_anew(
    damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compile_missing() -> None:
        if not are_kept("search"):
            keep_all_in(damaged)

    monkeypatch.setattr(warm_up, "compile_all", compile_missing)
    warm_up.compile_and_load("search")
    load("search")


@in_loop
async def test_a_daemon_has_compiled_anew_what_does_not_load(damaged: Path) -> None:
    async def compile_missing(half: str) -> None:
        if not are_kept(half):
            keep_all_in(damaged)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "_compiled", compile_missing)
        await engines._loaded("search")
    load("search")
