"""Grid files (``*.grid.yaml``): a network of routers, power links, sources and loads that every tool reads.

A three-phase line becomes ``voltage_v = sqrt(3) * V_line_to_line``, ``resistance_ohm = 3 * R`` and
``ampacity_a = I``.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from os import PathLike
from typing import Any

from digitalgrid.bounds import ID_PATTERN, InvalidValue, bounds, check_bounds, key, key_of
from digitalgrid.limits import (
    MAX_ADVERTISED,
    MAX_AMPACITY_A,
    MAX_CARBON_KG_PER_MWH,
    MAX_POWER_W,
    MAX_PRICE_PER_MWH,
    MAX_RESISTANCE_OHM,
    MAX_VOLTAGE_V,
)
from digitalgrid.physics import line_fault
from digitalgrid.places import Place, check_place, check_via
from digitalgrid.profiles import BUILT_IN, DGR, DeviceProfile
from digitalgrid.yaml_schema import load, loads
from digitalgrid.yaml_text import to_yaml

# The largest published network, of 70,000 buses, makes 20 MiB.
_MAX_BYTES = 64 << 20
_ID = bounds(pattern=ID_PATTERN)
_POWER = bounds(minimum=0, maximum=MAX_POWER_W)
_PRICE = bounds(minimum=-MAX_PRICE_PER_MWH, maximum=MAX_PRICE_PER_MWH)
_CARBON = bounds(minimum=0, maximum=MAX_CARBON_KG_PER_MWH)
_PRICE_NOT_NEGATIVE = bounds(minimum=0, maximum=MAX_PRICE_PER_MWH)


@dataclass(frozen=True, slots=True)
class Router:
    """A digital grid router; all power that passes it is converted once, with ``efficiency``."""

    id: str = field(metadata=_ID)
    efficiency: float = field(metadata=bounds(exclusive_minimum=0, maximum=1))
    # What kind of device it is: built in, or one of the file's `profiles`.
    profile: str = DGR.id
    # Where it stands on a map: [x, y], x to the east and y to the north, in any unit.
    at: Place | None = None

    def __post_init__(self) -> None:
        check_bounds(self)
        check_place(self.at)


@dataclass(frozen=True, slots=True)
class Link:
    """A power link between the routers ``a`` and ``b``; ``cost_per_mwh`` is a toll on received energy."""

    id: str = field(metadata=_ID)
    a: str
    b: str
    resistance_ohm: float = field(metadata=bounds(minimum=0, maximum=MAX_RESISTANCE_OHM))
    voltage_v: float = field(metadata=bounds(exclusive_minimum=0, maximum=MAX_VOLTAGE_V))
    ampacity_a: float = field(metadata=bounds(exclusive_minimum=0, maximum=MAX_AMPACITY_A))
    cost_per_mwh: float = field(default=0.0, metadata=_PRICE_NOT_NEGATIVE)
    # What may fail together with other links of the group: a duct, a mast, a transformer.
    risk_groups: tuple[str, ...] = field(default=(), metadata=_ID)
    # Its corners on a map, from `a` to `b`; none: a straight line.
    via: tuple[Place, ...] = ()

    def __post_init__(self) -> None:
        check_bounds(self)
        check_via(self.via)
        if self.a == self.b:
            raise InvalidValue("b", message=f"is {self.b!r} as 'a' is; join two routers")
        if fault := line_fault(self.resistance_ohm, self.voltage_v, self.ampacity_a):
            raise InvalidValue(
                "voltage_v", message=f"makes no line with the other figures: {fault}"
            )


@dataclass(frozen=True, slots=True)
class Source:
    """What can inject power at a router."""

    id: str = field(metadata=_ID)
    router: str
    max_power_w: float = field(metadata=_POWER)
    cost_per_mwh: float = field(default=0.0, metadata=_PRICE)
    renewable: bool = False
    carbon_kg_per_mwh: float = field(default=0.0, metadata=_CARBON)

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True)
class Load:
    """What takes power at a router; the higher priority is served first."""

    id: str = field(metadata=_ID)
    router: str
    power_w: float = field(metadata=_POWER)
    priority: int = field(default=0, metadata=bounds(minimum=-(2**31), maximum=2**31 - 1))
    value_per_mwh: float = field(default=0.0, metadata=_PRICE_NOT_NEGATIVE)

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True)
class Standing:
    """Power that a link delivers already, from one router to the other. ``link`` where several join the two.

    It takes capacity, and newcomers pay for the losses that they add to it.
    """

    from_: str = field(metadata=key("from"))
    to: str
    power_w: float = field(metadata=_POWER)
    link: str | None = None

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.from_ == self.to:
            raise InvalidValue("to", message=f"is {self.to!r} as 'from' is; name two routers")


@dataclass(frozen=True, slots=True)
class Grid:
    """A whole network. Raises InvalidValue (a ValueError) for ids that clash or lead nowhere."""

    name: str
    routers: tuple[Router, ...]
    links: tuple[Link, ...] = ()
    sources: tuple[Source, ...] = ()
    loads: tuple[Load, ...] = ()
    standing: tuple[Standing, ...] = ()
    profiles: tuple[DeviceProfile, ...] = ()

    def __post_init__(self) -> None:
        if not self.routers:
            raise InvalidValue("routers", message="is empty; a grid has at least one router")
        _refuse_duplicate_ids(self)
        router_ids = {router.id for router in self.routers}
        for path, router_id in _references(self):
            if router_id not in router_ids:
                raise InvalidValue(*path, message=f"names the unknown router {router_id!r}")
        _refuse_too_many_at_one_router(self)
        _refuse_what_no_device_is(self)
        for index in range(len(self.standing)):
            self.link_of_standing(index)

    def profile_of(self, router: Router) -> DeviceProfile:
        """Its limits and abilities."""
        return self._profiles()[router.profile]

    def _profiles(self) -> dict[str, DeviceProfile]:
        return BUILT_IN | {each.id: each for each in self.profiles}

    def link_of_standing(self, index: int) -> Link:
        """The link that carries ``standing[index]``. Raises InvalidValue where that is none, or not clear which."""
        flow = self.standing[index]
        ends = {flow.from_, flow.to}
        joining = [link for link in self.links if {link.a, link.b} == ends]
        path = ("standing", index)
        if flow.link is not None:
            joining = [link for link in joining if link.id == flow.link]
            if not joining:
                between = f"{flow.from_!r} and {flow.to!r}"
                message = f"is {flow.link!r}, which is no link between {between}"
                raise InvalidValue(*path, "link", message=message)
        elif not joining:
            message = f"is {flow.to!r}, to which no link leads from {flow.from_!r}"
            raise InvalidValue(*path, "to", message=message)
        elif len(joining) > 1:
            known = ", ".join(link.id for link in joining)
            message = f"may be over any of {known}; add 'link' to say which"
            raise InvalidValue(*path, message=message)
        return joining[0]


def load_grid(path: str | PathLike[str]) -> Grid:
    """Reads a grid file. Raises ConfigError, which names the line."""
    return load(Grid, path, shared_key="defaults", shared_by=(Router, Link), max_bytes=_MAX_BYTES)


def loads_grid(text: str, name: str = "<text>") -> Grid:
    """Like :func:`load_grid`, from text; ``name`` stands for the file in errors."""
    return loads(Grid, text, name, shared_key="defaults", shared_by=(Router, Link))


def dump_grid(grid: Grid) -> str:
    """The text of a grid file that reads back as an equal grid; one line for each thing, all keys written out."""
    document: dict[str, Any] = {"name": grid.name}
    for spec in fields(grid):
        things = getattr(grid, spec.name)
        if spec.name != "name" and (things or spec.name not in ("standing", "profiles")):
            document[spec.name] = [_entry(thing) for thing in things]
    return to_yaml(document, lines=True)


def _entry(thing: Router | Link | Source | Load | Standing | DeviceProfile) -> dict[str, Any]:
    if isinstance(thing, DeviceProfile):
        return {name: _plain(value) for name, value in thing.to_plain().items()}
    values = {key_of(spec): getattr(thing, spec.name) for spec in fields(thing)}
    if values.get("profile") == DGR.id:
        del values["profile"]
    if values.get("via") == ():
        del values["via"]
    return {name: _plain(value) for name, value in values.items() if value is not None}


def _plain(value: Any) -> Any:
    """As YAML writes it; whole floats read better, and as exactly, without their point."""
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _references(grid: Grid) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for index, link in enumerate(grid.links):
        yield ("links", index, "a"), link.a
        yield ("links", index, "b"), link.b
    for index, source in enumerate(grid.sources):
        yield ("sources", index, "router"), source.router
    for index, load_ in enumerate(grid.loads):
        yield ("loads", index, "router"), load_.router
    for index, flow in enumerate(grid.standing):
        yield ("standing", index, "from"), flow.from_
        yield ("standing", index, "to"), flow.to


def _refuse_too_many_at_one_router(grid: Grid) -> None:
    """A router advertises so many of each kind at the most; the first beyond is named."""
    count: Counter[tuple[str, str]] = Counter()
    for path, router_id in _references(grid):
        kind = str(path[0])
        count[kind, router_id] += 1
        if kind != "standing" and count[kind, router_id] > MAX_ADVERTISED:
            message = f"is one of more than {MAX_ADVERTISED} {kind} of router {router_id!r}; give some to another"
            raise InvalidValue(*path[:2], message=message)


def _refuse_what_no_device_is(grid: Grid) -> None:
    """Profiles that there are not, more lines than ports, voltages that no port takes, efficiencies above the curve."""
    known = grid._profiles()
    profiles = {}
    for index, router in enumerate(grid.routers):
        profile = known.get(router.profile)
        if profile is None:
            message = f"is {router.profile!r}, which is no profile; known: {', '.join(known)}"
            raise InvalidValue("routers", index, "profile", message=message, beside="profiles")
        if problem := profile.efficiency_problem(router.efficiency):
            raise InvalidValue("routers", index, "efficiency", message=problem)
        profiles[router.id] = profile
    lines: Counter[str] = Counter()
    for index, link in enumerate(grid.links):
        for router_id in (link.a, link.b):
            found = profiles[router_id].line_problem(lines[router_id], link.voltage_v)
            lines[router_id] += 1
            if found is not None:
                key_, message = found
                path = (key_,) if key_ else ()
                raise InvalidValue("links", index, *path, message=f"at {router_id!r} {message}")


def _refuse_duplicate_ids(grid: Grid) -> None:
    # Requests avoid routers and links by id, and name sources and loads by id: each pair shares one set of names.
    _refuse_duplicates(grid, "routers", "links")
    _refuse_duplicates(grid, "sources")
    _refuse_duplicates(grid, "loads")
    _refuse_duplicates(grid, "profiles")
    for index, profile in enumerate(grid.profiles):
        if profile.id in BUILT_IN:
            message = f"is {profile.id!r}, which is built in; choose another"
            raise InvalidValue("profiles", index, "id", message=message)


def _refuse_duplicates(grid: Grid, *kinds: str) -> None:
    seen: dict[str, str] = {}
    for kind in kinds:
        things: Iterable[Any] = getattr(grid, kind)
        for index, thing in enumerate(things):
            if thing.id in seen:
                message = f"is {thing.id!r}, which one of the {seen[thing.id]} is already called"
                raise InvalidValue(kind, index, "id", message=f"{message}; choose another")
            seen[thing.id] = kind
