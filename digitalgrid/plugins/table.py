"""Table of plug-ins: by kind and name, what is built in and what installed packages add by entry points.

A pure look-up: nothing is imported until somebody asks for one thing of it, and nothing is registered at run time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points, version
from typing import Any

from digitalgrid.errors import ExplainedError

_OWN = "digitalgrid"


class PluginError(ExplainedError):
    """A plug-in cannot be used; the message names its package and entry point, and says what to do."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What plug-ins of a kind have in common: a group of entry points, and the interface that each must have.

    ``built_in`` is by name what this package has itself, as "module:attribute".
    """

    name: str
    group: str
    interface_version: int
    methods: tuple[str, ...]
    built_in: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry of the table; nothing of it is imported yet. ``package`` is its distribution, with the version."""

    kind: Kind
    name: str
    package: str
    package_version: str
    entry: EntryPoint

    def __str__(self) -> str:
        return (
            f"{self.kind.name} {self.name!r} of package {self.package} {self.package_version}"
            f" (entry point {self.entry.value!r} in group {self.kind.group})"
        )

    @property
    def is_built_in(self) -> bool:
        return self.package == _OWN

    def load(self) -> Any:
        """Import it and make one of it: a class is called without arguments. PluginError where it does not fit."""
        try:
            found = self.entry.load()
            made = found() if isinstance(found, type) else found
        except Exception as error:
            raise PluginError(
                f"{self} cannot be imported: {type(error).__name__}: {error}; mend it, or uninstall"
                f" {self.package}"
            ) from error
        self._check(made)
        return made

    def _check(self, made: object) -> None:
        said, wanted = getattr(made, "interface_version", None), self.kind.interface_version
        if said != wanted:
            raise PluginError(
                f"{self} is made for version {said} of that interface, and this is version {wanted}:"
                f" install a release of {self.package} that fits, or another digitalgrid"
            )
        missing = [each for each in self.kind.methods if not callable(getattr(made, each, None))]
        if missing:
            raise PluginError(
                f"{self} has no method {' nor '.join(missing)}; its interface is told in docs/plugins.md"
            )


def installed(kind: Kind) -> list[Plugin]:
    """All of a kind, what is built in first; also those that :func:`find` refuses for their name."""
    own = [
        Plugin(kind, name, _OWN, version(_OWN), EntryPoint(name, value, kind.group))
        for name, value in kind.built_in.items()
    ]
    return own + sorted(_added(kind), key=lambda each: (each.name, each.package))


def _added(kind: Kind) -> Iterator[Plugin]:
    seen = set()
    for entry in entry_points(group=kind.group):
        package = entry.dist.name if entry.dist is not None else "of unknown name"
        # One that is found twice on the path is one.
        if (entry.name, package) not in seen:
            seen.add((entry.name, package))
            number = entry.dist.version if entry.dist is not None else "?"
            yield Plugin(kind, entry.name, package, number, entry)


def clash(plugin: Plugin, others: list[Plugin]) -> str:
    """Why its name is not its own; empty where it is."""
    same = [each for each in others if each.name == plugin.name and each is not plugin]
    if any(each.is_built_in for each in same):
        return f"{plugin} takes the name of what is built in: rename its entry point, or uninstall {plugin.package}"
    if same and not plugin.is_built_in:
        return (
            f"{plugin} and {same[0]} have one name: uninstall {plugin.package} or {same[0].package}"
        )
    return ""


def find(kind: Kind, name: str) -> Plugin:
    """The one of that name. PluginError where there is none, or its name is claimed twice."""
    table = installed(kind)
    claims = [each for each in table if each.name == name]
    if not claims:
        known = ", ".join(dict.fromkeys(each.name for each in table))
        raise PluginError(
            f"no {kind.name} {name!r} is installed; there are {known}. Install the package that has it into this"
            " environment (`dgc plugins` lists all)"
        )
    for each in claims:
        if clashes := clash(each, claims):
            raise PluginError(clashes)
    return claims[0]
