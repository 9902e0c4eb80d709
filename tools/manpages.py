"""Man pages of the programs, from the text that ``--help`` shows: ``python tools/manpages.py DIRECTORY`` writes
``dgc.1``, ``dgctl.1``, ``dgr.1`` and ``dgm.1`` there. A wheel built afterwards has them, if that is ``build/man``.
"""

import configparser
import re
import sys
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click
from programs import PROGRAMS, contexts

_SETUP = Path(__file__).resolve().parents[1] / "setup.cfg"
# What a paragraph begins with that click leaves as it is.
_AS_IT_IS = "\b"


def page(program: click.Command, name: str, version: str) -> str:
    """All of a program and its verbs on one page."""
    whole, *verbs = contexts(program, name)
    summary = cleandoc(program.help or "").partition("\n\n")[0].replace("\n", " ").rstrip(".")
    lines = [
        f'.TH {name.upper()} 1 "" "digitalgrid {version}" "Digital Grid Controller"',
        ".SH NAME",
        f"{_text(name)} \\- {_text(summary)}",
        ".SH SYNOPSIS",
        *_synopsis(whole),
        ".SH DESCRIPTION",
        *_paragraphs(program.help or ""),
        *_options(whole),
    ]
    if verbs:
        lines.append(".SH COMMANDS")
    for verb in verbs:
        lines += [
            f".SS {_quoted(verb.command_path)}",
            *_synopsis(verb),
            ".PP",
            *_paragraphs(verb.command.help or ""),
            *_options(verb),
        ]
    others = sorted(each for each in PROGRAMS if each != name)
    lines += [".SH SEE ALSO", ", ".join(f"\\fB{each}\\fR(1)" for each in others)]
    return "\n".join(lines) + "\n"


def _synopsis(context: click.Context) -> Iterator[str]:
    words = " ".join(context.command.collect_usage_pieces(context))
    yield f"\\fB{_text(context.command_path)}\\fR {_text(words)}"


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(re.split(r"\n\s*\n", cleandoc(text))):
        if number:
            yield ".PP"
        if paragraph.startswith(_AS_IT_IS):
            yield from (".nf", *map(_line, paragraph.splitlines()[1:]), ".fi")
        else:
            yield from map(_line, paragraph.splitlines())


def _options(context: click.Context) -> Iterator[str]:
    """Each with what `--help` says of it."""
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1]:
            names, meaning = record
            yield from (".TP", f"\\fB{_text(names)}\\fR", _line(meaning))


def _line(text: str) -> str:
    """A line of text, which is no request of roff, whatever it begins with."""
    text = _text(text.strip())
    return f"\\&{text}" if text[:1] in (".", "'") else text


def _text(text: str) -> str:
    """Hyphens of options must be such that can be copied."""
    return text.replace("\\", "\\e").replace("-", "\\-").replace("\n", " ")


def _quoted(text: str) -> str:
    return '"' + _text(text).replace('"', '""') + '"'


def _version() -> str:
    setup = configparser.ConfigParser()
    setup.read(_SETUP)
    return setup["metadata"]["version"]


def main(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, program in PROGRAMS.items():
        (directory / f"{name}.1").write_text(page(program, name, _version()), encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python tools/manpages.py DIRECTORY")
    main(Path(sys.argv[1]))
