"""Protected circuits on the local backend, shortened: books and views are exact; what is missing is not judged here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.northbound import free_port


@pytest.mark.timeout(180)
def test_a_cut_under_protected_circuits_leaves_books_and_views_exact(tmp_path: Path) -> None:
    told = subprocess.run(
        [
            *(sys.executable, "-m", "topologies.demo.protect", "--backend", "local"),
            *("--circuits", "4", "--protect", "link", "--fault", "line cut"),
            *("--run-dir", str(tmp_path / "run"), "--output", str(tmp_path / "protect.json")),
            *("--northbound", f"127.0.0.1:{free_port()}", "--southbound-port", str(free_port())),
        ],
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert told.returncode == 0, told.stderr
    figures = json.loads(told.stdout.splitlines()[-1])
    assert figures == json.loads((tmp_path / "protect.json").read_text())
    assert figures["circuits"] == 4
    assert figures["circuits_lost"] == 0, told.stderr
    assert figures["differences_after_return"] == [0], told.stderr
    assert figures["conservation_error_mj"] == figures["oversubscribed_instants"] == 0
    tried = [(trial["what"], trial["controller"]) for trial in figures["trials"]]
    assert tried == [("line cut", "runs"), ("line cut", "away"), ("planned move", "runs")]
