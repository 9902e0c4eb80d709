"""Reference pages of the documentation: command lines, API, files and metrics, from the programs themselves.

``python tools/reference.py DIRECTORY`` writes ``dgctl.md``, ``dgc.md``, ``dgr.md``, ``dgm.md``, ``api.md``,
``grid-file.md`` and ``configuration.md`` there.
"""

import inspect
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import get_args

import click
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from grpc_tools import protoc
from programs import PROGRAMS, contexts

from digitalgrid.bounds import key_of
from digitalgrid.gridfile import Grid, Link, Load, Router, Source, Standing
from digitalgrid.profiles import DeviceProfile

ROOT = Path(__file__).resolve().parents[1]
PROTOS = ROOT / "proto"
API = (
    *("v1/northbound", "v1/southbound", "v1/power_link"),
    *(
        "market/v1/market",
        "market/v1/ledger_service",
        "market/v1/meter_service",
        "market/v1/ledger",
    ),
)
_PACKAGES = (
    "gRPC; the files are in `proto/`. Package `digitalgrid.v1` is that of the controller and of routers,"
    " `digitalgrid.market.v1` that of a market.\n"
)
_FIELD = FieldDescriptorProto
_COMMENTED = re.compile(r"((?:    # .*\n)+)    (\w+): ")
_BOUNDS = {"minimum": "≥", "exclusive_minimum": ">", "maximum": "≤"}
# Numbers of fields in the paths by which descriptors name what a comment belongs to.
_MESSAGES, _ENUMS, _SERVICES, _FIELDS, _METHODS, _VALUES, _NESTED = 4, 5, 6, 2, 2, 2, 3
Comments = Mapping[tuple[int, ...], str]


def command_line(program: click.Command, name: str) -> str:
    """A page of Markdown with the help of a program and of all its verbs."""
    parts = [f"# {name}\n"]
    for context in contexts(program, name):
        parts.append(f"## {context.command_path}\n\n```text\n{context.get_help()}\n```\n")
    return "\n".join(parts)


def api() -> str:
    """A page of Markdown with all services, messages and enumerations, and what the protos say of them."""
    parts = [
        "# API\n",
        _PACKAGES,
    ]
    for file in _described():
        comments = {
            tuple(each.path): (each.leading_comments or each.trailing_comments).strip()
            for each in file.source_code_info.location
        }
        parts.append(f"## {Path(file.name).stem}\n")
        for number, service in enumerate(file.service):
            parts.append(f"### {service.name}\n\n{comments.get((_SERVICES, number), '')}\n")
            for index, method in enumerate(service.method):
                asked = _stream(method.input_type, method.client_streaming)
                told = _stream(method.output_type, method.server_streaming)
                meaning = _line(comments.get((_SERVICES, number, _METHODS, index), ""))
                parts.append(f"- `{method.name}({asked})` → `{told}` {meaning}")
            parts.append("")
        for number, message in enumerate(file.message_type):
            parts.extend(_message(message, (_MESSAGES, number), comments))
        for number, each in enumerate(file.enum_type):
            parts.extend(_enumeration(each, (_ENUMS, number), comments))
    return "\n".join(parts)


def _described() -> list[FileDescriptorProto]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "descriptors"
        names = [f"digitalgrid/{name}.proto" for name in API]
        said = ["protoc", f"-I{PROTOS}", f"--descriptor_set_out={path}", "--include_source_info"]
        if protoc.main([*said, *names]):
            raise SystemExit("reference: protoc could not read the protos")
        return list(FileDescriptorSet.FromString(path.read_bytes()).file)


def _message(message: DescriptorProto, path: tuple[int, ...], comments: Comments) -> Iterator[str]:
    if message.options.map_entry:
        return
    yield f"#### {message.name}\n\n{comments.get(path, '')}\n"
    if message.field:
        yield "| field | type | meaning |\n|---|---|---|"
    for number, each in enumerate(message.field):
        meaning = _line(comments.get((*path, _FIELDS, number), ""))
        yield f"| `{each.name}` = {each.number} | `{_type(each)}` | {meaning} |"
    yield ""
    for number, nested in enumerate(message.nested_type):
        yield from _message(nested, (*path, _NESTED, number), comments)


def _enumeration(
    each: EnumDescriptorProto, path: tuple[int, ...], comments: Comments
) -> Iterator[str]:
    yield f"#### {each.name}\n\n{comments.get(path, '')}\n"
    for number, value in enumerate(each.value):
        yield f"- `{value.name}` = {value.number} {_line(comments.get((*path, _VALUES, number), ''))}"
    yield ""


def _type(field: FieldDescriptorProto) -> str:
    plain = _FIELD.Type.Name(field.type).removeprefix("TYPE_").lower()
    name = field.type_name.rpartition(".")[2] or plain
    return f"repeated {name}" if field.label == _FIELD.LABEL_REPEATED else name


def _stream(type_: str, streaming: bool) -> str:
    name = type_.rpartition(".")[2]
    return f"stream {name}" if streaming else name


def _line(comment: str) -> str:
    """In a cell of a table."""
    return " ".join(comment.split()).replace("|", "\\|")


def grid_file() -> str:
    """A page of Markdown with every key of a grid file, from the classes that it is read into."""
    parts = [
        "# Grid files\n",
        "YAML 1.2; whoever leaves out a key without a default is told the line.\n",
    ]
    for each in (Grid, Router, Link, Source, Load, Standing, DeviceProfile):
        comments = {
            name: " ".join(re.findall(r"# (.*)", comment))
            for comment, name in _COMMENTED.findall(inspect.getsource(each))
        }
        parts.append(f"## {each.__name__}\n\n{inspect.getdoc(each)}\n")
        parts.append("| key | default | values | meaning |\n|---|---|---|---|")
        parts += [_key(field, comments.get(field.name, "")) for field in fields(each)]
        parts.append("")
    return "\n".join(parts)


def _key(field: "Field[object]", meaning: str) -> str:
    default = "–" if field.default is MISSING else f"`{field.default!r}`"
    limits = [
        f"{sign} {field.metadata[name]:g}"
        for name, sign in _BOUNDS.items()
        if name in field.metadata
    ]
    type_ = (
        re.sub(r"[\w.]+\.(?=\w)", "", str(field.type))
        if get_args(field.type)
        else _name(field.type)
    )
    values = ", ".join([f"`{_line(type_)}`", *limits])
    return f"| `{key_of(field)}` | {default} | {values} | {_line(meaning)} |"


def _name(type_: object) -> str:
    return getattr(type_, "__name__", str(type_))


def configuration() -> str:
    """A page of Markdown with every key of the daemons' configuration; tests hold the files to the programs."""
    parts = ["# Configuration\n"]
    for title, name in (
        ("The controller", "controller.yaml"),
        ("A router", "router.yaml"),
        ("A market", "market.yaml"),
    ):
        text = (ROOT / "docs" / "examples" / name).read_text(encoding="utf-8")
        parts.append(f"## {title}\n\n```yaml\n{text}```\n")
    return "\n".join(parts)


def main() -> None:
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    for name, program in PROGRAMS.items():
        (directory / f"{name}.md").write_text(command_line(program, name), encoding="utf-8")
    for name, page in (
        ("api", api()),
        ("grid-file", grid_file()),
        ("configuration", configuration()),
    ):
        (directory / f"{name}.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
