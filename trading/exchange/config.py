"""The configuration of the exchange, ``dgm run``: one YAML file of the market, its prices, parties and meters."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Literal

from digitalgrid.addresses import HOST_AND_PORT, Address, bad_ports
from digitalgrid.bounds import ID_PATTERN, InvalidValue, bounds, check
from digitalgrid.limits import MAX_INT64, MAX_POWER_W
from digitalgrid.metrics.config import MetricsConfig
from digitalgrid.units import NS_PER_MS, NS_PER_S, PPM
from digitalgrid.yaml_schema import load
from trading.core.orders import MarketRules, Meter
from trading.core.settlement import LossPayer, Tariff
from trading.core.trades import Times
from trading.core.units import MAX_PRICE, MJ_PER_WH, MicroPerKwh, Millijoule
from trading.market.settings import MarketSettings
from trading.mechanisms.book import SelfTrade

DEFAULT_SERVER = "127.0.0.1:50090"
_ADDRESS = bounds(pattern=HOST_AND_PORT)
_ID = bounds(pattern=ID_PATTERN)
# Ed25519, as `dgm keygen` prints it.
_PUBLIC_KEY = bounds(pattern=r"[0-9a-f]{64}")
_OPTIONAL_KEY = bounds(pattern=r"([0-9a-f]{64})?")
_PRICE = bounds(minimum=0, maximum=MAX_PRICE)
_WATTS = bounds(minimum=0, maximum=MAX_POWER_W)
# A controller holds a circuit for a day at most.
_MOST_AHEAD_S = 86_400.0
# What parties and meters one market keeps in memory: the customers of a town.
_MAX_PARTIES = 100_000


@dataclass(frozen=True, slots=True)
class MarketConfig:
    """What is traded: intervals of so many seconds, whose gates close ``gate_s`` before they begin, ``ahead`` of them
    open beside each other; each is cleared by the next of ``mechanisms``, in turn. ``router_tick_ms`` is what routers
    count energy by.
    """

    name: str = field(metadata=_ID)
    interval_s: int = field(default=900, metadata=bounds(minimum=1, maximum=86_400))
    gate_s: float = field(default=5.0, metadata=bounds(minimum=0.1, maximum=86_400))
    ahead: int = field(default=1, metadata=bounds(minimum=1, maximum=1_000))
    tick_micro_per_kwh: int = field(default=1, metadata=bounds(minimum=1, maximum=MAX_PRICE))
    mechanisms: tuple[str, ...] = field(default=("call",), metadata=_ID)
    # Which order ends where two of one party would meet in a continuous book.
    self_trade: Literal["newest", "oldest", "both"] = "newest"
    # Of prices that orders of a call auction allow, the one nearest to it is chosen; without it, the middle.
    reference_micro_per_kwh: int | None = field(
        default=None, metadata=bounds(minimum=-MAX_PRICE, maximum=MAX_PRICE)
    )
    router_tick_ms: int = field(default=100, metadata=bounds(minimum=1, maximum=10_000))
    orders_per_party: int = field(default=1_000, metadata=bounds(minimum=1, maximum=100_000))
    # Of one party, as many a second, and so many at once.
    tenders_per_s: float = field(default=200.0, metadata=bounds(minimum=0.1, maximum=1e6))
    tender_burst: int = field(default=1_000, metadata=bounds(minimum=1, maximum=1_000_000))

    def __post_init__(self) -> None:
        check(self, self._problems())

    def _problems(self) -> Iterator[InvalidValue]:
        if not self.mechanisms:
            yield InvalidValue("mechanisms", message="is empty; name one at least, such as call")

    @property
    def rules(self) -> MarketRules:
        return MarketRules(
            length_ns=self.interval_s * NS_PER_S,
            gate_ns=round(self.gate_s * NS_PER_S),
            ahead=self.ahead,
            tick=MicroPerKwh(self.tick_micro_per_kwh),
            router_tick_ns=self.router_tick_ms * NS_PER_MS,
            orders_per_party=self.orders_per_party,
            tenders_per_s=self.tenders_per_s,
            tender_burst=self.tender_burst,
        )


@dataclass(frozen=True, slots=True)
class TariffConfig:
    """Prices for what does not go as agreed, in millionths of the currency per kWh; at what a utility sells and buys, a
    market competes with it.
    """

    utility_micro_per_kwh: int = field(default=300_000, metadata=_PRICE)
    feed_in_micro_per_kwh: int = field(default=80_000, metadata=_PRICE)
    refusal_micro_per_kwh: int = field(default=0, metadata=_PRICE)
    firm_micro_per_kwh: int = field(default=0, metadata=_PRICE)
    overdraw_micro_per_kwh: int = field(default=0, metadata=_PRICE)
    loss_micro_per_kwh: int = field(default=100_000, metadata=_PRICE)
    loss_payer: Literal["buyer", "seller", "included"] = "included"
    # Of one trade: more than was bought is paid for up to this.
    max_over_wh: int = field(
        default=0, metadata=bounds(minimum=0, maximum=MAX_INT64 // MJ_PER_WH // MAX_PRICE)
    )

    # Of the line that somebody objects to in vain.
    dispute_fee_fraction: float = field(default=0.0, metadata=bounds(minimum=0, maximum=0.1))

    def __post_init__(self) -> None:
        check(self, self._problems())

    def _problems(self) -> Iterator[InvalidValue]:
        if self.feed_in_micro_per_kwh >= self.utility_micro_per_kwh:
            message = (
                f"is {self.feed_in_micro_per_kwh}; it must be below utility_micro_per_kwh,"
                f" {self.utility_micro_per_kwh}, or nobody has a reason to trade"
            )
            yield InvalidValue("feed_in_micro_per_kwh", message=message)

    @property
    def prices(self) -> Tariff:
        return Tariff(
            utility_price=MicroPerKwh(self.utility_micro_per_kwh),
            refusal_price=MicroPerKwh(self.refusal_micro_per_kwh),
            firm_price=MicroPerKwh(self.firm_micro_per_kwh),
            overdraw_price=MicroPerKwh(self.overdraw_micro_per_kwh),
            max_over=Millijoule(self.max_over_wh * MJ_PER_WH),
            loss_price=MicroPerKwh(self.loss_micro_per_kwh),
            loss_payer=LossPayer(self.loss_payer),
            dispute_fee_ppm=round(self.dispute_fee_fraction * PPM),
        )


@dataclass(frozen=True, slots=True)
class TimesConfig:
    """How long steps of a trade may take: a circuit to be held, money to be locked, meters to be read, a dispute to be
    decided. A circuit is activated ``lead_s`` before its interval, and its hold lasts ``grace_s`` into it. For
    ``object_s`` buyer and seller may object to a bill before it is paid, twice as long to one that is estimated; 0 pays
    at once.
    """

    hold_s: float = field(default=2.0, metadata=bounds(minimum=0.1, maximum=3_600))
    fund_s: float = field(default=5.0, metadata=bounds(minimum=0.1, maximum=3_600))
    read_s: float = field(default=3_600.0, metadata=bounds(minimum=1, maximum=604_800))
    object_s: float = field(default=0.0, metadata=bounds(minimum=0, maximum=31_536_000))
    dispute_s: float = field(default=864_000.0, metadata=bounds(minimum=1, maximum=31_536_000))
    lead_s: float = field(default=0.1, metadata=bounds(minimum=0, maximum=60))
    grace_s: float = field(default=5.0, metadata=bounds(minimum=0.5, maximum=600))

    @property
    def times(self) -> Times:
        return Times(
            hold_ns=round(self.hold_s * NS_PER_S),
            fund_ns=round(self.fund_s * NS_PER_S),
            lead_ns=round(self.lead_s * NS_PER_S),
            grace_ns=round(self.grace_s * NS_PER_S),
            read_ns=round(self.read_s * NS_PER_S),
            dispute_ns=round(self.dispute_s * NS_PER_S),
            object_ns=round(self.object_s * NS_PER_S),
        )


@dataclass(frozen=True, slots=True)
class OperatorConfig:
    """Whoever runs the market: deposits, withdrawals and decisions of disputes are signed with this key."""

    public_key: str = field(metadata=_PUBLIC_KEY)
    party: str = field(default="operator", metadata=_ID)


@dataclass(frozen=True, slots=True)
class MeterConfig:
    """Where a party hangs on the network: the source that its power comes from, and the load that it goes to."""

    meter: str = field(metadata=_ID)
    router: str = field(metadata=_ID)
    source: str = field(default="", metadata=bounds(pattern=f"({ID_PATTERN})?"))
    load: str = field(default="", metadata=bounds(pattern=f"({ID_PATTERN})?"))
    max_injected_w: float = field(default=0.0, metadata=_WATTS)
    max_drawn_w: float = field(default=0.0, metadata=_WATTS)
    # The meter's own: then it trades here only once it has said so.
    public_key: str = field(default="", metadata=_OPTIONAL_KEY)

    def __post_init__(self) -> None:
        check(self, self._problems())

    def _problems(self) -> Iterator[InvalidValue]:
        for key, named, most in (
            ("source", self.source, "max_injected_w"),
            ("load", self.load, "max_drawn_w"),
        ):
            watts = getattr(self, most)
            if watts > 0.0 and not named:
                yield InvalidValue(key, message=f"is missing, and {most} is {watts:g}; name one")
            if named and watts == 0.0:
                yield InvalidValue(most, message=f"is 0, and the meter has the {key} {named!r}")
        if not (self.source or self.load):
            yield InvalidValue("meter", message="has neither a source nor a load; give it one")


@dataclass(frozen=True, slots=True)
class PartyConfig:
    """Whoever may trade here: its account is called as the party is, and its tenders are signed with this key."""

    party: str = field(metadata=_ID)
    public_key: str = field(metadata=_PUBLIC_KEY)
    meters: tuple[MeterConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownLogConfig:
    """Another exchange, by its log's id: meters that it has released may come here. ``public_key``: the newest that its
    log is known to have; a proof that does not come to that is not believed. Else a key that was stolen, and given up,
    would prove releases for ever.
    """

    name: str = field(metadata=_ID)
    log_id: str = field(metadata=_PUBLIC_KEY)
    public_key: str = field(metadata=_PUBLIC_KEY)


@dataclass(frozen=True, slots=True)
class ExchangeConfig:
    """All of it. ``controller``: one, or all of its cluster. ``state_dir`` has the journal, the ledger and its keys."""

    market: MarketConfig
    operator: OperatorConfig
    parties: tuple[PartyConfig, ...]
    tariff: TariffConfig = field(default_factory=TariffConfig)
    times: TimesConfig = field(default_factory=TimesConfig)
    known_logs: tuple[KnownLogConfig, ...] = ()
    controller: tuple[str, ...] = field(default=("127.0.0.1:50051",), metadata=_ADDRESS)
    # Loopback: whoever reaches it reads all books.
    listen: str = field(default=DEFAULT_SERVER, metadata=_ADDRESS)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    state_dir: str = ".run/market"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    # As a controller's.
    log_format: Literal["auto", "text", "json"] = "auto"

    def __post_init__(self) -> None:
        check(self, self._problems())

    def _problems(self) -> Iterator[InvalidValue]:
        if not self.controller:
            yield InvalidValue("controller", message="is empty; name the address of a controller")
        controllers = (("controller", at, each) for at, each in enumerate(self.controller))
        yield from bad_ports(*controllers, lowest=1)
        yield from bad_ports(("listen", self.listen))
        yield from self._clashes()
        if not self.state_dir:
            yield InvalidValue("state_dir", message="is empty; name a directory")
        yield from self._badly_timed()
        if len(self.parties) > _MAX_PARTIES:
            yield InvalidValue("parties", message=f"has more than {_MAX_PARTIES}")
        yield from self._twice()

    def _clashes(self) -> Iterator[InvalidValue]:
        if not self.metrics.listen:
            return
        address = Address.of(self.metrics.listen)
        if address.clashes_with(Address.of(self.listen)):
            message = f"is {self.metrics.listen!r}, which clashes with listen, {self.listen!r}"
            yield InvalidValue("metrics", "listen", message=message)

    def _badly_timed(self) -> Iterator[InvalidValue]:
        market, times = self.market, self.times
        if times.lead_s >= market.gate_s:
            message = f"is {times.lead_s:g}; it must be less than market.gate_s, {market.gate_s:g}"
            yield InvalidValue("times", "lead_s", message=message)
        longest_s = market.ahead * market.interval_s + market.gate_s + times.grace_s
        if longest_s > _MOST_AHEAD_S:
            message = (
                f"is {market.ahead}: circuits would be held for up to {longest_s:g} s, and a controller holds"
                f" them for {_MOST_AHEAD_S:g} s at most; open fewer intervals beside each other"
            )
            yield InvalidValue("market", "ahead", message=message)
        if market.router_tick_ms > market.interval_s * 1_000:
            message = f"is {market.router_tick_ms}, more than an interval"
            yield InvalidValue("market", "router_tick_ms", message=message)

    def _twice(self) -> Iterator[InvalidValue]:
        """A name that two have, or a source or load that two meters would sell or buy for."""
        seen: dict[tuple[str, str], str] = {("party", self.operator.party): "the operator"}
        for at, party in enumerate(self.parties):
            where = ("parties", at)
            yield from _noted(seen, "party", party.party, f"parties[{at}]", *where, "party")
            for number, meter in enumerate(party.meters):
                here = (*where, "meters", number)
                name = f"parties[{at}].meters[{number}], {meter.meter!r},"
                for kind in ("meter", "source", "load", "public_key"):
                    yield from _noted(seen, kind, getattr(meter, kind), name, *here, kind)
        for at, log in enumerate(self.known_logs):
            for kind in ("name", "log_id"):
                what = getattr(log, kind)
                yield from _noted(seen, kind, what, f"known_logs[{at}]", "known_logs", at, kind)

    def listeners(self) -> Iterator[tuple[tuple[str, ...], Address]]:
        """Every address that the daemon listens on, with its key."""
        yield ("listen",), Address.of(self.listen)
        if self.metrics.listen:
            yield ("metrics", "listen"), Address.of(self.metrics.listen)

    @property
    def meters(self) -> Mapping[str, MeterConfig]:
        return {meter.meter: meter for party in self.parties for meter in party.meters}

    @property
    def market_meters(self) -> Mapping[str, Meter]:
        """As the market's core takes them."""
        return {
            each.meter: Meter(
                *(each.meter, party.party, each.router, each.max_injected_w, each.max_drawn_w),
                bytes.fromhex(each.public_key),
            )
            for party in self.parties
            for each in party.meters
        }

    @property
    def logs(self) -> Mapping[bytes, bytes]:
        """Of other exchanges: keys by ids."""
        return {
            bytes.fromhex(each.log_id): bytes.fromhex(each.public_key) for each in self.known_logs
        }

    @property
    def settings(self) -> MarketSettings:
        """As the market takes them."""
        reference = self.market.reference_micro_per_kwh
        return MarketSettings(
            self.market.name,
            self.market.rules,
            self.times.times,
            self.tariff.prices,
            self.market.mechanisms,
            self.operator.party,
            tuple(self.market_meters.values()),
            self_trade=SelfTrade(f"cancel {self.market.self_trade}"),
            reference=None if reference is None else MicroPerKwh(reference),
        )

    @property
    def public_keys(self) -> Mapping[str, bytes]:
        """By party; the operator's among them."""
        keys = {each.party: bytes.fromhex(each.public_key) for each in self.parties}
        return keys | {self.operator.party: bytes.fromhex(self.operator.public_key)}


def _noted(
    seen: dict[tuple[str, str], str], kind: str, name: str, of: str, *path: str | int
) -> Iterator[InvalidValue]:
    """``of`` says whose the name is by its place in the file: what it is called may be what is given twice."""
    if not name:
        return
    before = seen.setdefault((kind, name), of)
    if before != of:
        yield InvalidValue(*path, message=f"is {name!r}, which {before} has already; each is one's")


def load_config(
    path: str | PathLike[str],
    also: Callable[[ExchangeConfig], Iterable[InvalidValue]] | None = None,
) -> ExchangeConfig:
    """Reads the exchange's file. Raises ConfigError, which names all that is wrong.

    ``also`` finds what is wrong with it on this machine.
    """

    def on_this_machine(config: ExchangeConfig) -> Iterator[InvalidValue]:
        state_dir = Path(config.state_dir)
        if state_dir.exists() and not state_dir.is_dir():
            message = f"is {config.state_dir!r}, which is no directory; name another"
            yield InvalidValue("state_dir", message=message)
        yield from also(config) if also is not None else ()

    return load(ExchangeConfig, path, also=on_this_machine)
