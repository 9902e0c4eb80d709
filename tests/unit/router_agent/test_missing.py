"""Missing energy at a sink: how much, and why."""

import itertools

import pytest
from msgspec.structs import replace

from digitalgrid.model import CircuitGeneration, MissingCause
from digitalgrid.units import NS_PER_MS, NS_PER_S
from router_agent.device.meter_image import ImageCodec, unpack_image
from router_agent.device.meters import RouterBooks
from router_agent.device.missing import CAUSES, Granted
from router_agent.device.promise_books import PromiseBooks
from tests.support.device_network import DeviceNetwork, circuit_hops, router
from tests.unit.router_agent.test_device import KEY, NEXT, POWER_W, Ring

THIRD = CircuitGeneration(1, 3)


@pytest.fixture
def ring() -> Ring:
    return Ring()


def missing_ms(ring: Ring) -> dict[str, float]:
    """In milliseconds of the promised power, by cause."""
    promise = ring.books("c").promises[KEY.circuit_id]
    return {
        cause.value: getattr(promise, f"{cause.value}_mj") / POWER_W
        for cause in MissingCause
        if getattr(promise, f"{cause.value}_mj")
    }


def served(ring: Ring, key: CircuitGeneration = KEY, path: str = "abc") -> dict[str, float]:
    ring.program(key, path)
    ring.network.run(NS_PER_S)
    return missing_ms(ring)


def test_every_case_has_one_cause() -> None:
    befores = (None, *MissingCause)
    assert CAUSES.keys() == set(itertools.product(befores, Granted, (False, True)))


def test_before_the_first_power_all_is_start_and_a_steady_hour_adds_nothing(ring: Ring) -> None:
    missing = served(ring)
    assert missing.keys() == {"start"}
    ring.network.run(60 * NS_PER_S)
    for _ in range(200):
        ring.network.run(1_234_567)
        ring.books("c")
    assert missing_ms(ring) == missing


def test_what_a_cut_costs_counts_from_the_last_energy_to_the_steady_stream(ring: Ring) -> None:
    start = served(ring)["start"]
    ring.network.cut("ab")
    # So long that what the routers below the cut had is gone.
    ring.network.run(250 * NS_PER_MS)
    served(ring, NEXT, "adc")
    missing = missing_ms(ring)
    assert missing.keys() == {"start", "fault"} and missing["start"] == start
    promise, delivered_mj = ring.books("c").promises[1], ring.delivered_mj()
    assert promise.promised_mj == delivered_mj + promise.missing_mj


def test_power_packets_that_are_missed_though_granted_are_a_fault(ring: Ring) -> None:
    served(ring)
    ring.network.silence("ab", "a")
    ring.network.run(165 * NS_PER_MS)
    ring.network.heal("ab")
    ring.network.run(NS_PER_S)
    assert missing_ms(ring).keys() == {"start", "fault"}


def test_what_others_displaced_of_a_circuit_is_curtailed(ring: Ring) -> None:
    before = served(ring)
    hops = circuit_hops(
        *(NEXT, 2, [ring.configs[name] for name in "abc"], POWER_W / 4, ring.reserved_a)
    )
    cut = {name: replace(hop, asked_w=POWER_W) for name, hop in hops.items()}
    assert ring.network.program(cut, next(ring.txn_ids))
    ring.network.run(NS_PER_S)
    for name in "abc":
        ring.network.withdraw(name, KEY)
    ring.network.run(NS_PER_S)
    settled = missing_ms(ring)
    ring.network.run(4 * NS_PER_S)
    after = missing_ms(ring)
    assert {key: after[key] - settled[key] for key in after} == {
        **dict.fromkeys(settled, 0.0),
        "curtailment": pytest.approx(0.75 * 4000, abs=1.0),
    }
    assert after["start"] == before["start"]


def test_what_a_planned_move_costs_is_a_move(ring: Ring) -> None:
    start = served(ring)["start"]
    served(ring, NEXT, "adc")
    ring.network.drain("c", KEY)
    ring.network.run(NS_PER_S)
    missing = missing_ms(ring)
    assert missing["start"] == start and "fault" not in missing
    ring.network.cut("ad")
    # Buffers bridge the first of it.
    ring.network.run(700 * NS_PER_MS)
    assert missing_ms(ring)["fault"] > 300, "the move is over, and this is another thing"


def test_what_is_granted_in_part_is_curtailed(ring: Ring) -> None:
    source = ring.network.nodes["a"]
    ring.network.carry_out("a", source.device.source_limit("pv-a", 1.2e6, ring.network.now_ns))
    served(ring)
    ring.network.run(NS_PER_S)
    missing = missing_ms(ring)
    assert missing.keys() == {"start", "curtailment"}
    ring.network.run(NS_PER_S)
    granted_w = ring.network.nodes["c"].device.flows[0].granted_w
    more_ms = missing_ms(ring)["curtailment"] - missing["curtailment"]
    assert 0.0 < granted_w < POWER_W
    assert more_ms == pytest.approx(1000 * (1.0 - granted_w / POWER_W), rel=1e-3)


def test_what_a_source_has_nothing_left_for_is_curtailed_and_no_fault(ring: Ring) -> None:
    served(ring)
    before = missing_ms(ring)
    source = ring.network.nodes["a"]
    ring.network.carry_out("a", source.device.source_limit("pv-a", 0.0, ring.network.now_ns))
    ring.network.run(2 * NS_PER_S)
    missing = missing_ms(ring)
    assert missing["curtailment"] == pytest.approx(2000, abs=250), "less what was in the buffers"
    assert missing == before | {"curtailment": missing["curtailment"]}
    ring.network.cut("bc")
    ring.network.run(NS_PER_S)
    assert missing_ms(ring)["fault"] == pytest.approx(1000, abs=250)


def takes(ring: Ring, share: float) -> None:
    device = ring.network.nodes["c"].device
    ring.network.carry_out("c", device.load_limit("town-c", share, ring.network.now_ns))


def test_what_an_unplugged_load_does_not_take_is_refused_until_it_has_its_power_again(
    ring: Ring,
) -> None:
    before = served(ring)
    delivered_mj = ring.books("c").circuits[KEY].delivered_mj
    takes(ring, 0.0)
    ring.network.run(2 * NS_PER_S)
    assert missing_ms(ring) == before | {"refused": pytest.approx(2000, abs=0.01)}
    on_its_way_mj = ring.books("c").circuits[KEY].delivered_mj - delivered_mj
    assert on_its_way_mj <= 0.5 * POWER_W * 1000
    assert ring.network.nodes["a"].device.flows[0].ingress_w == 0.0
    takes(ring, 1.0)
    ring.network.run(2 * NS_PER_S)
    missing = missing_ms(ring)
    assert missing == before | {"refused": missing["refused"]}
    assert missing["refused"] < 2500
    ring.network.run(10 * NS_PER_S)
    assert missing_ms(ring) == missing
    ring.network.cut("ab")
    ring.network.run(NS_PER_S)
    assert missing_ms(ring)["fault"] > 500, "it is taken again, and this is another thing"


def test_a_load_that_takes_a_part_lacks_nothing_of_it(ring: Ring) -> None:
    before = served(ring)
    takes(ring, 0.25)
    ring.network.run(4 * NS_PER_S)
    assert missing_ms(ring) == before | {"refused": pytest.approx(3000, abs=0.01)}
    ring.network.cut("ab")
    ring.network.run(2 * NS_PER_S)
    missing = missing_ms(ring)
    assert missing["refused"] == pytest.approx(4500, abs=0.01)
    assert 0 < missing["fault"] <= 500, "only what it would have taken"


def test_power_that_does_not_come_back_to_a_load_is_a_fault(ring: Ring) -> None:
    before = served(ring)
    takes(ring, 0.0)
    ring.network.run(NS_PER_S)
    ring.network.cut("ab")
    takes(ring, 1.0)
    ring.network.run(4 * NS_PER_S)
    missing = missing_ms(ring)
    assert missing["refused"] == pytest.approx(3000, abs=100)
    assert missing["fault"] == pytest.approx(2000, abs=100)
    assert missing.keys() == before.keys() | {"refused", "fault"}


def test_while_a_circuit_waits_with_no_generation_its_promise_stands(ring: Ring) -> None:
    served(ring)
    before = missing_ms(ring)
    for name in "abc":
        ring.network.withdraw(name, KEY, promise_stands=True)
    ring.network.run(3 * NS_PER_S)
    assert missing_ms(ring)["fault"] == pytest.approx(3000, abs=1e-3)
    told = [status for _, status in ring.network.nodes["c"].statuses if status.missing]
    assert told[-1].missing is not None and told[-1].missing.fault_mj > before.get("fault", 0)
    served(ring, NEXT)
    assert missing_ms(ring).keys() == {"start", "fault"}
    ring.network.drain("c", NEXT)
    over = missing_ms(ring)
    ring.network.run(NS_PER_S)
    assert missing_ms(ring) == over


def test_a_wait_ends_with_a_withdrawal_that_says_so(ring: Ring) -> None:
    served(ring)
    ring.network.withdraw("c", KEY, promise_stands=True)
    ring.network.run(NS_PER_S)
    ring.network.withdraw("c", KEY)
    over = missing_ms(ring)
    ring.network.run(NS_PER_S)
    assert missing_ms(ring) == over
    assert not ring.books("c").promises[1].stands


def test_a_router_that_was_dead_owes_that_time_too(ring: Ring) -> None:
    served(ring)
    ring.network.kill("c")
    ring.network.run(2 * NS_PER_S)
    ring.network.restart("c")
    ring.network.run(500 * NS_PER_MS)
    assert 2500 <= missing_ms(ring)["fault"] <= 2600, "and at most a tick that was not saved"
    (told,) = ring.network.nodes["c"].device.statuses()
    assert told.key == KEY and told.missing is not None and told.missing.fault_mj > 0
    for name in "ab":
        ring.network.withdraw(name, KEY)
    served(ring, NEXT)
    before = missing_ms(ring)
    ring.network.run(NS_PER_S)
    assert missing_ms(ring) == before


def test_an_image_keeps_promises_and_an_older_one_has_none() -> None:
    books = RouterBooks(saved_unix_ns=7)
    books.begin_promise(3).power_uw = 5
    books.promises[3].add(MissingCause.MOVE, 11)
    image = ImageCodec(books).pack()
    read = unpack_image(image)
    assert read.promises == {3: PromiseBooks(power_uw=5, move_mj=11)}
    assert read.saved_unix_ns == 7
    books.promises.clear()
    without = ImageCodec(books).pack()
    older = unpack_image(without[:-14])
    assert (older.promises, older.saved_unix_ns) == ({}, 0)


def test_promises_that_ended_are_kept_as_long_as_the_meters_of_their_circuits() -> None:
    books = RouterBooks()
    for circuit_id in range(1, 101):
        books.begin_promise(circuit_id).power_uw = 1
        books.end_promise(circuit_id)
    assert list(books.promises) == list(range(37, 101))


def test_energy_before_a_dead_line_keeps_none_from_the_next_generation_at_that_router() -> None:
    """Both ways meet at one router, and the line below it falls silent with its buffer full."""
    ends = {
        "s": ("sm",),
        "m": ("sm", "mt", "mn"),
        "n": ("mn", "nt"),
        "t": ("mt", "nt"),
    }
    configs = {
        name: router(name, *((link, link.replace(name, "")) for link in links))
        for name, links in ends.items()
    }
    network = DeviceNetwork(list(configs.values()))
    network.run(300 * NS_PER_MS)
    for generation, path in ((1, "smt"), (2, "smnt")):
        key = CircuitGeneration(1, generation)
        hops = circuit_hops(key, generation, [configs[name] for name in path], 2e6, {})
        assert network.program(hops, generation)
        network.run(2000 * NS_PER_MS)
        if generation == 1:
            network.silence("mt")
            network.run(200 * NS_PER_MS)
    before = network.nodes["t"].device.read_books(network.now_ns).promises[1].missing_mj
    network.run(1000 * NS_PER_MS)
    books = network.nodes["t"].device.read_books(network.now_ns)
    assert books.promises[1].missing_mj == before
