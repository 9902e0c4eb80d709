"""Networks by name: ``pandapower:case118``, ``simbench:1-MV-rural--0-sw``, or the path of a pandapower JSON file."""

import ast
import difflib
import inspect
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from digitalgrid.gridfile import dump_grid
from topologies.importers.errors import NetworkError
from topologies.importers.imported import Imported, Options
from topologies.importers.optional import require
from topologies.importers.pandapower_import import import_pandapower

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_HELP = "write pandapower:NAME, simbench:CODE, or the path of a pandapower .json file"


def import_to_file(
    specification: str,
    path: Path,
    options: Options = Options(),  # noqa: B008
    begin: Callable[[str], None] = lambda phase: None,
) -> Imported:
    """Imports a network and writes its grid file; what was left out is in the result's ``warnings``.

    ``begin`` is told each phase of it.

    Raises NetworkError where there is no such network, no grid in it, or the file cannot be written.
    """
    begin(f"reading {specification}")
    network = load_network(specification)
    begin("making routers, links, sources and loads of it")
    imported = import_pandapower(network, options, name_of(specification))
    begin(f"writing {path}")
    text = dump_grid(imported.grid)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NetworkError(f"{path} cannot be written: {error.strerror}") from error
    return imported


def import_network(specification: str, options: Options = Options()) -> Imported:  # noqa: B008
    """The grid of the network that a specification names. Raises NetworkError."""
    return import_pandapower(load_network(specification), options, name_of(specification))


def name_of(specification: str) -> str:
    """A short name for the grid of a network."""
    kind, colon, rest = specification.partition(":")
    return rest if colon and kind in ("pandapower", "simbench") else Path(specification).stem


def load_network(specification: str) -> Any:
    """The pandapower network object that a specification names. Raises NetworkError.

    A function of pandapower.networks can be given arguments: ``pandapower:create_cigre_network_mv?with_der=pv_wind``.
    """
    kind, colon, rest = specification.partition(":")
    if colon and kind == "pandapower":
        return _from_pandapower(rest)
    if colon and kind == "simbench":
        return _from_simbench(rest)
    if specification.endswith(".json"):
        return _from_file(Path(specification))
    raise NetworkError(f"{specification!r} names no network; {_HELP}")


def _from_pandapower(wanted: str) -> Any:
    name, _, query = wanted.partition("?")
    module = require("pandapower.networks")
    makers = _makers(module)
    if name not in makers:
        near = difflib.get_close_matches(name, makers, n=3, cutoff=0.4)
        hint = f"did you mean {', '.join(near)}?" if near else "see the list in pandapower's manual"
        raise NetworkError(f"pandapower.networks has no {name!r}; {hint}")
    arguments = _arguments(query)
    try:
        inspect.signature(makers[name]).bind(**arguments)
    except TypeError as error:
        raise NetworkError(
            f"pandapower:{wanted}: {error}; give arguments as NAME?a=1&b=x"
        ) from None
    try:
        with _quiet():
            net = makers[name](**arguments)
    except (
        Exception
    ) as error:  # whatever a maker of networks does wrong, a person wants to hear in one line
        raise NetworkError(
            f"pandapower cannot make {wanted!r}: {_first_line(error)}{_old(error)}"
        ) from error
    if not hasattr(net, "bus"):
        raise NetworkError(f"pandapower:{wanted} is no network")
    return net


def _from_simbench(code: str) -> Any:
    simbench = require("simbench")
    codes: list[str] = simbench.collect_all_simbench_codes()
    if code not in codes:
        near = difflib.get_close_matches(code, codes, n=3, cutoff=0.4)
        raise NetworkError(f"SimBench has no {code!r}; did you mean {', '.join(near) or codes[0]}?")
    try:
        with _quiet():
            return simbench.get_simbench_net(code)
    except Exception as error:  # as above; SimBench reads hundreds of tables
        raise NetworkError(f"SimBench cannot make {code!r}: {_first_line(error)}") from error


def _from_file(path: Path) -> Any:
    if not path.is_file():
        raise NetworkError(f"{path} is no file; {_HELP}")
    pandapower = require("pandapower")
    try:
        with _quiet():
            net = pandapower.from_json(str(path))
    except Exception as error:  # as above; the file may hold anything
        raise NetworkError(f"{path} cannot be read by pandapower: {_first_line(error)}") from error
    if not hasattr(net, "bus"):
        raise NetworkError(f"{path} holds no pandapower network")
    return net


def _makers(module: Any) -> dict[str, Callable[..., Any]]:
    """The functions of pandapower.networks that make networks, and none that it only uses."""
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__.startswith("pandapower.networks")
        and not name.startswith("_")
        and name != "sorted_from_json"
    }


def pandapower_networks() -> list[str]:
    """The names of all networks that pandapower makes without being told more."""
    makers = _makers(require("pandapower.networks"))
    return sorted(
        name
        for name, maker in makers.items()
        if all(
            parameter.default is not parameter.empty or parameter.kind in _VARIADIC
            for parameter in inspect.signature(maker).parameters.values()
        )
    )


def _arguments(query: str) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    for pair in filter(None, query.split("&")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise NetworkError(f"{pair!r} gives no value; write NAME?key=value")
        try:
            arguments[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            arguments[key] = value
    return arguments


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _old(error: Exception) -> str:
    """pandapower before 3.2 does not know pandas 3, and fails as if the network were wrong."""
    pandas = require("pandas")
    if isinstance(error, TypeError) and int(pandas.__version__.split(".")[0]) >= 3:
        return f" (with pandas {pandas.__version__}; pandapower needs pandas 2: pip install 'digitalgrid[study]')"
    return ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Both libraries remark on their own deprecated calls, which no user of ours can change."""
    logger = logging.getLogger("pandapower")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
