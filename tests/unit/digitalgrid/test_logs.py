import json
import os
import pty
import subprocess
import sys

import pytest

from digitalgrid.printable import printable, printable_lines, quoted, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("r1-r3: 2 MW", "r1-r3: 2 MW"),
        ("Zürich 変電所", "Zürich 変電所"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("a\tb\nc\r\x7f", r"a\tb\nc\r\x7f"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202e\u2028\u200b", r"\u202e\u2028\u200b"),
        ("\udcff", r"\udcff"),
        ("", ""),
    ],
)
def test_what_could_command_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_long_text_loses_its_middle() -> None:
    assert shortened("abc", 3) == "abc"
    assert shortened("0123456789", 9) == "01 ... 89"
    assert len(quoted("x" * 1_000_000)) < 90


def test_lines_of_others_are_indented() -> None:
    assert printable_lines("one\ntwo\x1b") == "one\n  two\\x1b"


def test_no_line_of_a_log_can_be_forged() -> None:
    program = (
        "import logging\n"
        "from digitalgrid.logs import log_to_standard_error\n"
        "log_to_standard_error(style='%(levelname)s %(message)s')\n"
        r"logging.info('request %s', 'a\x1b[2J\nERROR the sky falls')" + "\n"
        "try:\n"
        "    1 / 0\n"
        "except ZeroDivisionError:\n"
        "    logging.exception('a defect')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    lines = done.stderr.splitlines()
    assert lines[:3] == [r"INFO request a\x1b[2J", "  ERROR the sky falls", "ERROR a defect"]
    assert lines[3] == "Traceback (most recent call last):"


def test_logs_of_json_are_an_object_a_line_whatever_is_said() -> None:
    program = (
        "import logging\n"
        "from digitalgrid.logs import LogFormat, log_to_standard_error\n"
        "log_to_standard_error(log_format=LogFormat.JSON, always={'router_id': 'r1'})\n"
        r"logging.getLogger('dgc').warning('request %s', 'a\x1b[2J\n{', extra={'circuit_id': 7})"
        + "\n"
        "try:\n"
        "    1 / 0\n"
        "except ZeroDivisionError:\n"
        "    logging.exception('a defect')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    warned, failed = map(json.loads, done.stderr.splitlines())
    assert "\x1b" not in done.stderr
    assert warned.pop("time").endswith("+00:00")
    assert warned == {
        "level": "WARNING",
        "logger": "dgc",
        "message": "request a\x1b[2J\n{",
        "circuit_id": 7,
        "router_id": "r1",
    }
    assert "ZeroDivisionError" in failed["exception"]


def test_a_terminal_has_lines_for_people_and_whatever_else_takes_them_has_json() -> None:
    program = (
        "import logging\n"
        "from digitalgrid.logs import LogFormat, log_to_standard_error\n"
        "log_to_standard_error(log_format=LogFormat.AUTO)\n"
        "logging.warning('it rains')\n"
    )
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", program], stderr=theirs, check=True)
    os.close(theirs)
    assert os.read(ours, 4096).endswith(b"WARNING root: it rains\r\n")
    os.close(ours)
    piped = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, check=True)
    assert json.loads(piped.stderr)["message"] == "it rains"
