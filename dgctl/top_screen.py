"""What ``dgctl top`` shows: totals, lines by load, routers that are late or gone, circuits worst first; or a tree."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from os import terminal_size

from dgctl.circuit_tables import CIRCUITS, ENDED, STATE_STYLES, state_name
from dgctl.listing import ListingError, View
from dgctl.top_file import TopFile
from dgctl.top_tree import Tree
from dgctl.topology_tables import LINKS, ROUTERS, used
from digitalgrid.columns import Line, Part, Styled
from digitalgrid.units import format_fraction, format_power
from digitalgrid.v1 import northbound_pb2 as pb

# Of the lines on a screen, what tables of lines and routers take at most.
_SHARE_OF_LINKS, _MOST_ROUTERS = 0.2, 4
# A line is full from here, and nearly full.
_FULL, _NEARLY = 0.95, 0.8

HELP = (
    "q          leave",
    "/          show only circuits with a word: state=waiting, power>2MW, sink~mill, or any text; empty: all",
    "s          sort circuits by the next column that is shown; at first: who needs somebody",
    "r          the other way round",
    "x          a tree: each source, its circuits, and the lines of their ways; and back",
    "up, down   go through the rows (k, j; page up, page down)",
    "escape     back to all circuits, sorted as at first",
    "?          these lines, and back",
)


@dataclass
class Known:
    """What the feeds have told."""

    circuits: dict[int, pb.Circuit] = field(default_factory=dict)
    topology: pb.Topology = field(default_factory=pb.Topology)
    # Whether a first snapshot of each has been told in whole.
    has_circuits: bool = False
    has_topology: bool = False

    @property
    def is_whole(self) -> bool:
        return self.has_circuits and self.has_topology

    def take_circuit(self, is_first: bool, event: pb.WatchCircuitsResponse) -> None:
        if is_first:
            self.circuits.clear()
        self.has_circuits = event.HasField("snapshot_done") or (self.has_circuits and not is_first)
        circuit = event.circuit
        if circuit.state in ENDED:
            self.circuits.pop(circuit.circuit_id, None)
        elif circuit.circuit_id:
            self.circuits[circuit.circuit_id] = circuit

    def take_topology(self, topology: pb.Topology) -> None:
        self.topology, self.has_topology = topology, True


class Look:
    """How somebody looks at it, changed key by key."""

    def __init__(self, file: TopFile | None = None) -> None:
        self._file = file or TopFile()
        # What `s` leads through, and where that is.
        self._sorts, self._sort = self._file.sorts(), 0
        self._links = View(LINKS, ",".join(self._file.links))
        self._routers = View(ROUTERS, ",".join(self._file.routers))
        self._reversed = False
        self._filter = ""
        # What is being typed after `/`; None: nothing is.
        self._typed: str | None = None
        self._complaint = ""
        self._help = False
        self._as_tree = False
        self._first = 0
        self._page = 1
        self._circuits = self._view()

    def press(self, key: str) -> bool:
        """Takes a key; false once somebody wants to leave."""
        if self._typed is not None:
            self._type(key)
            return True
        match key:
            case "q":
                return False
            case "?":
                self._help = not self._help
            case "/":
                self._typed, self._complaint = "", ""
            case "s":
                self._sort = (self._sort + 1) % len(self._sorts)
            case "r":
                self._reversed = not self._reversed
            case "x":
                self._as_tree, self._help = not self._as_tree, False
            case "escape":
                self._sort, self._reversed, self._filter, self._complaint = 0, False, "", ""
                self._help = self._as_tree = False
            case _:
                self._move(key)
                return True
        self._first = 0
        self._circuits = self._view()
        return True

    def parts(self, known: Known, size: terminal_size) -> Iterator[Part]:
        """As many lines as there is room for."""
        yield from _totals(known)
        if self._help:
            yield from ("", *HELP)
            return
        yield ""
        left = size.lines - 5
        circuits = self._circuits.rows(known.circuits.values())
        if self._as_tree:
            tree = Tree(circuits, known.topology, with_idle=not self._filter)
            shown = self._shown(len(tree), left)
            yield tree.table(shown, self._title(len(circuits), len(known.circuits)))
            return
        for part, height in self._small_tables(known, size):
            yield part
            yield ""
            left -= height + 1
        shown = self._shown(len(circuits), left)
        yield self._circuits.table(circuits[shown], self._title(len(circuits), len(known.circuits)))

    def status(self) -> str:
        """The last line."""
        if self._typed is not None:
            return f"/{self._typed}_"
        return self._complaint or "q leave  / filter  s sort  r reverse  x tree  ? keys"

    def _view(self) -> View[pb.Circuit]:
        sort = self._sorts[self._sort]
        if self._reversed:
            sort = sort.removeprefix("-") if sort.startswith("-") else f"-{sort or 'state'}"
        filters = [self._filter] if self._filter else []
        columns = ",".join(self._file.circuits)
        return View(CIRCUITS, columns, [sort] if sort else [], filters)

    def _type(self, key: str) -> None:
        typed = self._typed or ""
        if key in ("\r", "\n"):
            self._typed, before = None, self._filter
            self._filter, self._first = typed.strip(), 0
            try:
                self._circuits = self._view()
            except ListingError as error:
                self._filter, self._complaint = before, str(error)
        elif key == "escape":
            self._typed = None
        elif key in ("\x7f", "\b"):
            self._typed = typed[:-1]
        elif len(key) == 1 and key.isprintable():
            self._typed = typed + key

    def _move(self, key: str) -> None:
        steps = {"up": -1, "k": -1, "down": 1, "j": 1}
        pages = {"page up": -self._page, "page down": self._page}
        self._first = max(0, self._first + steps.get(key, pages.get(key, 0)))

    def _shown(self, count: int, left: int) -> slice:
        """Which of so many rows stand on what is left of the screen, below a title and a head."""
        self._page = max(1, left - 2)
        self._first = max(0, min(self._first, count - self._page))
        return slice(self._first, self._first + self._page)

    def _title(self, count: int, all_of_them: int) -> str:
        by = self._sorts[self._sort].lstrip("-") or "who needs somebody"
        way = ", the other way round" if self._reversed else ""
        of = f" of {all_of_them} with {self._filter}" if self._filter else ""
        above = f", from row {self._first + 1}" if self._first else ""
        return f"{count} circuits{of}, by {by}{way}{above}"

    def _small_tables(self, known: Known, size: terminal_size) -> Iterator[tuple[Part, int]]:
        """Lines by load, those that are down first, and routers that are not as they should be."""
        most = max(2, int(size.lines * _SHARE_OF_LINKS))
        links = sorted(known.topology.links, key=lambda link: (link.up, -(used(link) or 0.0)))[
            :most
        ]
        if links:
            yield self._links.table(links, "lines by load"), len(links) + 2
        routers = [each for each in known.topology.routers if each.late_ms or not each.connected]
        if routers:
            shown = self._routers.rows(routers)[:_MOST_ROUTERS]
            yield self._routers.table(shown, f"{len(routers)} routers late or gone"), len(shown) + 2


def _totals(known: Known) -> Iterator[Part]:
    circuits, topology = known.circuits.values(), known.topology
    power_w = sum(each.power_w for each in circuits)
    injected_w = sum(each.injected_w for each in circuits)
    states = Counter(each.state for each in circuits)
    lost = format_fraction((injected_w - power_w) / injected_w) if injected_w else "-"
    pieces: list[str | Styled] = [f"circuits {len(circuits)}:"]
    for state, count in sorted(states.items(), key=lambda each: -each[1]):
        style = STATE_STYLES.get(state, "")
        pieces += [" ", Styled(f"{count} {state_name(state)}", style)]
    pieces.append(
        f"   promised {format_power(power_w)}, injected {format_power(injected_w)}, lost {lost}"
    )
    yield Line(tuple(pieces))
    yield Line(tuple(_network(topology)))


def _network(topology: pb.Topology) -> Iterator[str | Styled]:
    down = sum(not link.up for link in topology.links)
    shares = [used(link) or 0.0 for link in topology.links]
    gone = sum(not router.connected for router in topology.routers)
    late = sum(bool(router.late_ms) for router in topology.routers)
    yield f"lines {len(topology.links)}: "
    yield Styled(f"{down} down", "red" if down else "")
    full = sum(share >= _FULL for share in shares)
    nearly = sum(_NEARLY <= share < _FULL for share in shares)
    yield ", "
    yield Styled(f"{full} full", "yellow" if full else "")
    yield f", {nearly} nearly   routers {len(topology.routers)}: "
    yield Styled(f"{gone} gone", "red" if gone else "")
    yield ", "
    yield Styled(f"{late} late", "yellow" if late else "")
    given_w = sum(source.reserved_w for source in topology.sources)
    most_w = sum(source.max_power_w for source in topology.sources)
    yield f"   sources {format_power(given_w)} of {format_power(most_w)}"
