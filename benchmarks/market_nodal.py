"""Network-constrained clearing of a market, against the bare dispatch beneath it and a cutting-plane LP in HiGHS.

``bare-dispatch`` is the dispatch of the same size without a market: as many loads as there are bids and as many sources
as asks and bids, all loads served. What ours takes beyond that is the building of the question, circuits out of flows,
whole numbers, and the certificate. The LP has the same program as everybody writes it: losses above tangents, which
are added where the last answer lies below the curve, until no more than a ten-millionth of all power is missing. It
has its turn twice. ``highspy`` goes on from the last basis of its own, and no clearing before gives it any: what is
spared is only what a new model for each round of tangents would cost, so it is the best that we know for it, and a fair
peer. ``scipy`` solves each program anew, as it is usually written. Both have less to do than ours: their programs are
put together beforehand, and they end with what flows, where ours has matches over circuits, in whole numbers, and a
certificate.
"""

from collections.abc import Iterator
from typing import Any

import highspy
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.optimize import linprog

from benchmarks.harness import Row, by_turns, seconds_of
from benchmarks.instances import mesh
from controller.routing.dispatch import DispatchProblem, dispatch
from digitalgrid.garbage_collector import freeze_loaded
from trading.core.orders import Interval, Order, Side
from trading.core.units import MicroPerKwh, Wh, power_w
from trading.mechanisms.duality import figures_of
from trading.mechanisms.mechanism import NodalPrices
from trading.mechanisms.network import MarketNetwork
from trading.mechanisms.nodal import NodalAuction
from trading.mechanisms.verify import verify

Floats = npt.NDArray[np.float64]

_LENGTH_NS = 900_000_000_000
# Routers: orders.
_QUICK = {1_000: 5_000}
_FULL = {100: 400, 500: 5_000, 1_000: 5_000}
_TURNS = 5
# Of the value of what is traded.
_TOLERANCE = 1e-6
# Of all power: losses that may be missing in the end.
_MISSING = 1e-7
_MAX_ROUNDS = 60


def rows(full: bool) -> Iterator[Row]:
    NodalAuction().clear(*market(100, 200, 1), 0)
    # As the process has that clears.
    freeze_loaded()
    for size, count in (_FULL if full else _QUICK).items():
        yield _row(size, count)


def market(routers: int, count: int, seed: int) -> tuple[list[Order], MarketNetwork]:
    """As many asks as bids on a mesh; sellers are at a tenth of the routers, as sources are in the dispatch's
    benchmark, so that power goes a long way, lines are full, and prices differ.
    """
    network = mesh(routers, seed, 0.1)
    rng = np.random.default_rng([routers, count, seed])
    links = len(network.a)
    meters = {f"m{node}": node for node in range(routers)}
    ids = tuple(f"r{node}" for node in range(routers)), tuple(f"l{link}" for link in range(links))
    tolls = tuple(rng.choice([0.0, 2.0], links).tolist())
    orders = [
        Order(
            order_id=str(seq),
            party=f"p{seq}",
            meter_id=f"m{rng.integers(routers) if seq % 2 else rng.choice(network.source_nodes)}",
            side=Side.BUY if seq % 2 else Side.SELL,
            wh=Wh(int(rng.integers(10_000, 100_000))),
            limit=MicroPerKwh(int(rng.integers(60_000, 300_000))),
            interval=Interval(0, _LENGTH_NS),
            seq=seq,
        )
        for seq in range(1, count + 1)
    ]
    return orders, MarketNetwork(network.graph(), *ids, meters, tolls)


def _row(size: int, count: int) -> Row:
    orders, network = market(size, count, 1)
    bare = _bare(orders, network)
    taken, results = by_turns(
        {
            "ours": lambda: NodalAuction().clear(orders, network, 0),
            "bare-dispatch": lambda: dispatch(bare),
        },
        _TURNS,
    )
    clearing = results["ours"]
    faults = verify(orders, network, clearing)
    certificate = clearing.certificate
    assert isinstance(certificate, NodalPrices)
    figures = figures_of(orders, network, certificate)
    agree = not faults and results["bare-dispatch"].status == "optimal"
    extra: dict[str, Any] = {"welfare_per_h": figures.welfare, "matches": len(clearing.matches)}
    peers = {"bare-dispatch": taken["bare-dispatch"]}
    program = _CuttingPlanes(orders, network)
    peers["highspy"], warm = seconds_of(program.warm)
    peers["scipy"], cold = seconds_of(program.cold)
    extra["peer_welfare_per_h"] = {"highspy": warm, "scipy": cold}
    for best in (warm, cold):
        agree &= abs(best - figures.welfare) <= _TOLERANCE * figures.value
    return Row(
        "market-nodal", size, f"mesh n={size} orders={count}", taken["ours"], peers, agree, extra
    )


def _bare(orders: list[Order], network: MarketNetwork) -> DispatchProblem:
    """All bids as loads; asks and, at the bids' routers, dearer sources that are enough for all."""
    bids = [order for order in orders if order.side is Side.BUY]
    asks = [order for order in orders if order.side is Side.SELL]
    node = {
        side: [network.router_of[o.meter_id] for o in each]
        for side, each in zip(Side, (bids, asks), strict=True)
    }
    watts = {
        side: np.array([power_w(o.wh, o.interval.length_ns) for o in each])
        for side, each in zip(Side, (bids, asks), strict=True)
    }
    limits = np.array([order.limit / 1e3 for order in (*asks, *bids)])
    efficiency = network.graph.efficiency[np.array(node[Side.BUY])]
    return DispatchProblem(
        network.graph,
        source_node=np.array(node[Side.SELL] + node[Side.BUY], dtype=np.int32),
        source_max_w=np.concatenate([watts[Side.SELL], watts[Side.BUY] / efficiency]),
        source_cost_per_mwh=limits,
        load_node=np.array(node[Side.BUY], dtype=np.int32),
        load_power_w=watts[Side.BUY],
        toll_per_mwh=np.array(network.toll_per_mwh),
    )


class _CuttingPlanes:
    """Columns: received power and losses of arcs, then what orders have. In MW, and money per MWh."""

    def __init__(self, orders: list[Order], network: MarketNetwork) -> None:
        graph = self._graph = network.graph
        self._arcs = graph.arc_count
        self._square = graph.resistance_ohm / graph.voltage_v**2 * 1e6
        sign = np.array([1.0 if order.side is Side.BUY else -1.0 for order in orders])
        node = np.array([network.router_of[order.meter_id] for order in orders])
        limit = np.array([order.limit / 1e3 for order in orders])
        most = np.array([power_w(order.wh, order.interval.length_ns) / 1e6 for order in orders])
        toll = np.array(network.toll_per_mwh)[graph.link]
        self._cost = np.concatenate([toll, np.zeros(self._arcs), -sign * limit])
        self._capacity = graph.headroom_a * graph.voltage_v / 1e6
        self._upper = np.concatenate([self._capacity, np.full(self._arcs, np.inf), most])
        self._rows, self._least = self._limits(node, sign, len(network.link_ids))

    def warm(self) -> float:
        """Welfare in money an hour; one model of HiGHS, which goes on from its last basis."""
        highs = highspy.Highs()
        highs.setOptionValue("output_flag", False)
        count = len(self._cost)
        highs.addVars(count, np.zeros(count), self._upper)
        highs.changeColsCost(count, np.arange(count, dtype=np.int32), self._cost)

        def add(rows: sp.csr_array, least: Floats) -> None:
            endless = np.full(len(least), highspy.kHighsInf)
            highs.addRows(
                len(least), least, endless, rows.nnz, rows.indptr[:-1], rows.indices, rows.data
            )

        add(self._rows, self._least)
        for first in self._first_tangents():
            add(*first)
        for _ in range(_MAX_ROUNDS):
            highs.run()
            missing = self._missing_tangents(np.array(highs.getSolution().col_value))
            if missing is None:
                break
            add(*missing)
        return -float(highs.getInfo().objective_function_value)

    def cold(self) -> float:
        """The same by SciPy, which gives HiGHS each program anew."""
        parts = [(self._rows, self._least), *self._first_tangents()]
        for _ in range(_MAX_ROUNDS):
            rows = sp.vstack([rows for rows, _ in parts], format="csr")
            least = np.concatenate([least for _, least in parts])
            bounds = np.stack([np.zeros_like(self._upper), self._upper], axis=1)
            found = linprog(self._cost, A_ub=-rows, b_ub=-least, bounds=bounds, method="highs")
            tangents = self._missing_tangents(found.x)
            if tangents is None:
                break
            parts.append(tangents)
        return -float(found.fun)

    def _limits(
        self, node: npt.NDArray[np.int64], sign: Floats, links: int
    ) -> tuple[sp.csr_array, Floats]:
        """Balances of routers, then capacities of links, all as "at least"."""
        graph, arcs = self._graph, self._arcs
        n, m, count = graph.node_count, np.arange(arcs), len(node)
        linear = 1.0 + 2.0 * graph.resistance_ohm * graph.load_a / graph.voltage_v
        into = sp.csr_array((graph.efficiency[graph.head], (graph.head, m)), shape=(n, arcs))
        out = sp.csr_array((linear, (graph.tail, m)), shape=(n, arcs))
        lost = sp.csr_array((-np.ones(arcs), (graph.tail, m)), shape=(n, arcs))
        given = np.where(sign > 0, -1.0, graph.efficiency[node])
        cells = sp.csr_array((given, (node, np.arange(count))), shape=(n, count))
        both = sp.csr_array((-np.ones(arcs), (graph.link, m)), shape=(links, arcs))
        capacity = np.zeros(links)
        capacity[graph.link] = self._capacity
        none = sp.csr_array((links, arcs + count))
        rows = sp.vstack([sp.hstack([into - out, lost, cells]), sp.hstack([both, none])])
        return rows.tocsr(), np.concatenate([np.zeros(n), -capacity])

    def _first_tangents(self) -> list[tuple[sp.csr_array, Floats]]:
        every = np.arange(self._arcs)
        return [self._tangents(every, part * self._capacity) for part in (0.05, 0.25, 0.6)]

    def _missing_tangents(self, x: Floats) -> tuple[sp.csr_array, Floats] | None:
        """Where losses lie below their curve; None where that is nothing any more."""
        received, loss = x[: self._arcs], x[self._arcs : 2 * self._arcs]
        missing = self._square * received**2 - loss
        if missing.sum() <= _MISSING * x[2 * self._arcs :].sum():
            return None
        below = np.flatnonzero(missing > 1e-9)
        return self._tangents(below, received[below])

    def _tangents(self, arcs: npt.NDArray[np.int64], at: Floats) -> tuple[sp.csr_array, Floats]:
        """loss >= 2 s y x - s y^2, at y."""
        square, count = self._square[arcs], len(arcs)
        row = np.tile(np.arange(count), 2)
        column = np.concatenate([arcs, self._arcs + arcs])
        values = np.concatenate([-2.0 * square * at, np.ones(count)])
        rows = sp.csr_array((values, (row, column)), shape=(count, len(self._cost)))
        return rows, -square * at**2
