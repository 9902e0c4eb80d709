"""What a router promises, and what it refuses."""

import itertools
import math

import msgspec
import pytest

from digitalgrid.model import (
    NO_ELECTION_ID,
    CircuitGeneration,
    ElectionId,
    HopSnapshot,
    Operation,
    ResultCode,
    StandbyPool,
)
from router_agent.device import circuit_table
from router_agent.device.circuit_table import CircuitTable
from router_agent.device.mutation import Mutation, Outcome

LEASE_NS = 2_000_000_000
HOP = HopSnapshot(
    circuit_id=7,
    generation=1,
    admission_seq=1,
    power_w=1e6,
    ingress_power_w=1.1e6,
    egress_power_w=1.05e6,
    received_power_w=1.02e6,
    ingress_link_id="in",
    egress_link_id="out",
)


class Bench:
    """A table with two links, a source and a load, and a controller that talks to it."""

    def __init__(self) -> None:
        self.up = {"in": True, "out": True}
        self.table = self.fresh()
        self.now_ns = 1
        self.controller = "one:50052"
        self.election_id = ElectionId(0, 5)

    def fresh(self, floors: dict[int, int] | None = None) -> CircuitTable:
        return CircuitTable(self.up.get, ["pv"], ["town"], floors=floors)

    def stage(self, txn_id: int, *hops: HopSnapshot, **pools_w: float) -> Outcome:
        pools = tuple(itertools.starmap(StandbyPool, pools_w.items()))
        return self._apply(Operation.STAGE, txn_id, hops=hops, lease_ns=LEASE_NS, pools=pools)

    def commit(self, txn_id: int) -> Outcome:
        return self._apply(Operation.COMMIT, txn_id)

    def abort(self, txn_id: int) -> Outcome:
        return self._apply(Operation.ABORT, txn_id)

    def drain(self, *keys: CircuitGeneration) -> Outcome:
        return self._apply(Operation.DRAIN, 0, circuits=keys)

    def withdraw(self, *keys: CircuitGeneration) -> Outcome:
        return self._apply(Operation.WITHDRAW, 0, circuits=keys)

    def promote(self, *keys: CircuitGeneration) -> Outcome:
        return self._apply(Operation.PROMOTE, 0, circuits=keys)

    def _apply(
        self,
        operation: Operation,
        txn_id: int,
        hops: tuple[HopSnapshot, ...] = (),
        lease_ns: int = 0,
        circuits: tuple[CircuitGeneration, ...] = (),
        pools: tuple[StandbyPool, ...] = (),
    ) -> Outcome:
        mutation = Mutation(
            operation,
            self.controller,
            self.election_id,
            txn_id,
            hops,
            lease_ns,
            circuits,
            pools=pools,
        )
        return self.table.apply(mutation, self.now_ns)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def hop(generation: int = 1, circuit_id: int = 7, **changes: object) -> HopSnapshot:
    return msgspec.structs.replace(HOP, circuit_id=circuit_id, generation=generation, **changes)


def codes(outcome: Outcome) -> list[ResultCode]:
    return [entry.code for entry in outcome.entries]


class TestPools:
    def test_they_hold_from_the_commit_on_together_with_the_hops(self, bench: Bench) -> None:
        bench.stage(1, hop(), out=2e6)
        assert not bench.table.pools.received_w
        outcome = bench.commit(1)
        assert outcome.pools_changed and outcome.added == (hop(),) and outcome.table_version == 1
        assert bench.table.pools.told == [StandbyPool("out", 2e6)]

    def test_one_replaces_what_held_for_its_link_and_leaves_the_others(self, bench: Bench) -> None:
        for txn_id, pools_w in enumerate(({"out": 2e6, "in": 1e6}, {"out": 1e6}, {"in": 0.0}), 1):
            bench.stage(txn_id, **pools_w)
            assert bench.commit(txn_id).pools_changed
        assert bench.table.pools.told == [StandbyPool("out", 1e6)]

    def test_of_two_the_one_that_was_staged_later_counts(self, bench: Bench) -> None:
        """It reckons with the other, whichever of them is done first."""
        bench.stage(1, hop(circuit_id=1), out=1e6)
        bench.stage(2, hop(circuit_id=2), out=3e6)
        for txn_id in (2, 1):
            assert bench.commit(txn_id).code is ResultCode.OK
        assert bench.table.pools.told == [StandbyPool("out", 3e6)]
        assert len(bench.table.hops) == 2

    def test_what_is_aborted_or_expires_changes_none(self, bench: Bench) -> None:
        bench.stage(1, out=1e6)
        bench.commit(1)
        bench.stage(2, out=5e6)
        bench.abort(2)
        bench.stage(3, out=5e6)
        bench.now_ns += LEASE_NS
        assert bench.commit(3).code is ResultCode.LEASE_EXPIRED
        assert bench.table.pools.told == [StandbyPool("out", 1e6)]

    def test_repeats_change_nothing(self, bench: Bench) -> None:
        bench.stage(1, out=1e6)
        bench.stage(1, out=1e6)
        bench.commit(1)
        bench.stage(2, out=2e6)
        bench.commit(2)
        again = bench.commit(1)
        assert again.code is ResultCode.OK and not again.pools_changed
        assert bench.table.pools.told == [StandbyPool("out", 2e6)]
        assert bench.stage(1, out=4e6).code is ResultCode.INVALID_HOP

    @pytest.mark.parametrize(
        ("pools_w", "message"),
        [
            ({"nowhere": 1e6}, "no link 'nowhere'"),
            ({"out": -1.0}, "pool of link 'out' must lie between 0"),
            ({"out": math.nan}, "must lie between 0"),
            ({"in": 1e6, "out": math.inf}, "pool of link 'out' must lie between 0"),
        ],
    )
    def test_what_makes_no_sense_is_refused_with_all_that_comes_with_it(
        self, bench: Bench, pools_w: dict[str, float], message: str
    ) -> None:
        outcome = bench.stage(1, hop(), **pools_w)
        assert outcome.code is ResultCode.INVALID_HOP and message in outcome.message
        assert bench.commit(1).code is ResultCode.UNKNOWN_TRANSACTION

    def test_an_older_leader_says_none(self, bench: Bench) -> None:
        bench.stage(1, out=1e6)
        bench.commit(1)
        bench.election_id = ElectionId(0, 4)
        assert bench.stage(2, out=9e6).code is ResultCode.STALE_ELECTION_ID
        # A newer one finds what held, and nothing that the older had only staged.
        bench.election_id = ElectionId(0, 6)
        bench.stage(2, out=3e6)
        bench.election_id = ElectionId(0, 7)
        assert bench.commit(2).code is ResultCode.UNKNOWN_TRANSACTION
        assert bench.table.pools.told == [StandbyPool("out", 1e6)]

    def test_a_line_that_is_down_can_have_one(self, bench: Bench) -> None:
        bench.up["out"] = False
        bench.stage(1, out=1e6)
        assert bench.commit(1).pools_changed

    def test_a_promoted_generation_shares_no_more(self, bench: Bench) -> None:
        shared = hop(standby=True, shared_standby=True)
        bench.stage(1, shared, out=1e6)
        bench.commit(1)
        bench.promote(shared.key)
        assert bench.table.hops == [hop()]

    def test_a_shared_standby_is_a_standby(self, bench: Bench) -> None:
        assert bench.stage(1, hop(shared_standby=True)).code is ResultCode.INVALID_HOP


class TestTwoPhases:
    def test_only_commit_changes_the_table(self, bench: Bench) -> None:
        assert bench.stage(1, hop()).code is ResultCode.OK
        assert bench.table.hops == [] and bench.table.version == 0
        assert bench.table.staged_txn_ids == [1]
        outcome = bench.commit(1)
        assert outcome.code is ResultCode.OK and outcome.added == (hop(),)
        assert bench.table.hops == [hop()] and outcome.table_version == 1
        assert bench.table.staged_txn_ids == []

    def test_abort_forgets_the_stage(self, bench: Bench) -> None:
        bench.stage(1, hop())
        assert bench.abort(1).code is ResultCode.OK
        assert bench.commit(1).code is ResultCode.UNKNOWN_TRANSACTION

    def test_abort_of_what_is_committed_is_refused(self, bench: Bench) -> None:
        bench.stage(1, hop())
        bench.commit(1)
        assert bench.abort(1).code is ResultCode.UNKNOWN_TRANSACTION
        assert bench.table.hops == [hop()]

    def test_repeats_are_answered_alike_and_change_nothing(self, bench: Bench) -> None:
        for _ in range(2):
            assert bench.stage(1, hop()).code is ResultCode.OK
        assert bench.commit(1).added
        for again in (bench.commit(1), bench.stage(1, hop()), bench.abort(2)):
            assert again.code is ResultCode.OK and not again.added and again.table_version == 1

    def test_an_expired_lease_refuses_commit(self, bench: Bench) -> None:
        bench.stage(1, hop())
        assert bench.table.next_expiry_ns() == bench.now_ns + LEASE_NS
        bench.now_ns += LEASE_NS
        outcome = bench.commit(1)
        assert outcome.code is ResultCode.LEASE_EXPIRED and codes(outcome) == [
            ResultCode.LEASE_EXPIRED
        ]
        assert bench.table.hops == [] and bench.table.staged_txn_ids == []

    def test_what_has_expired_can_be_staged_again_under_its_id(self, bench: Bench) -> None:
        for _ in range(2):
            bench.stage(1, hop())
            bench.now_ns += LEASE_NS
            assert bench.commit(1).code is ResultCode.LEASE_EXPIRED
        assert bench.stage(1, hop(), hop(circuit_id=8)).code is ResultCode.OK
        assert bench.table.staged_txn_ids == [1]
        outcome = bench.commit(1)
        assert outcome.code is ResultCode.OK and len(outcome.added) == 2

    def test_transactions_and_hops_are_bounded(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(circuit_table, "MAX_STAGED", 3)
        for txn_id in (1, 2, 3, 1):
            assert bench.stage(txn_id, hop(circuit_id=txn_id)).code is ResultCode.OK
        refused = bench.stage(4, hop(circuit_id=4))
        assert refused.code is ResultCode.NOT_ATTEMPTED and "commit or abort" in refused.message
        bench.commit(1)
        monkeypatch.setattr(circuit_table, "MAX_HOPS", 4)
        assert bench.stage(4, hop(circuit_id=4)).code is ResultCode.OK
        bench.abort(2)
        refused = bench.stage(5, hop(circuit_id=5), hop(circuit_id=6))
        assert refused.code is ResultCode.NOT_ATTEMPTED and "at most 4 hops" in refused.message

    def test_the_id_of_what_is_committed_is_refused_for_other_hops(self, bench: Bench) -> None:
        bench.stage(1, hop())
        bench.commit(1)
        refused = bench.stage(1, hop(circuit_id=8))
        assert refused.code is ResultCode.INVALID_HOP and "committed with other" in refused.message

    def test_the_same_id_with_other_hops_is_refused(self, bench: Bench) -> None:
        bench.stage(1, hop())
        assert bench.stage(1, hop(power_w=9.0)).code is ResultCode.INVALID_HOP

    def test_all_or_nothing_in_the_order_of_the_request(self, bench: Bench) -> None:
        outcome = bench.stage(
            1, hop(), hop(circuit_id=8, egress_link_id="nowhere"), hop(circuit_id=9)
        )
        assert codes(outcome) == [
            ResultCode.NOT_ATTEMPTED,
            ResultCode.INVALID_HOP,
            ResultCode.NOT_ATTEMPTED,
        ]
        assert outcome.code is ResultCode.INVALID_HOP and "'nowhere'" in outcome.message
        assert [entry.key.circuit_id for entry in outcome.entries] == [7, 8, 9]
        assert bench.table.staged_txn_ids == []


class TestHops:
    @pytest.mark.parametrize(
        "changes",
        [
            {"ingress_link_id": "nowhere"},
            {"ingress_link_id": "", "source_id": "wind"},
            {"egress_link_id": "", "load_id": "village"},
            {"ingress_link_id": ""},
            {"egress_link_id": ""},
            {"egress_link_id": "in"},
            {"power_w": 0.0},
            {"power_w": math.nan},
            {"ingress_power_w": math.inf},
            {"ingress_power_w": 1e13},
            {"received_power_w": -1.0},
            {"received_power_w": 1.06e6},
            {"egress_power_w": 1.2e6},
            {"floor_w": -1.0},
            {"floor_w": 1.1e6},
            {"floor_w": math.nan},
            {"trickle_w": -1.0},
            {"trickle_w": 1.2e6},
            {"trickle_w": math.nan},
            {"generation": 0},
            {"circuit_id": 0},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, bench: Bench, changes: dict[str, object]) -> None:
        bad = msgspec.structs.replace(HOP, **changes)
        assert bench.stage(1, bad).code is ResultCode.INVALID_HOP

    def test_source_to_load_without_a_link_is_fine(self, bench: Bench) -> None:
        local = hop(ingress_link_id="", source_id="pv", egress_link_id="", load_id="town")
        assert bench.stage(1, local).code is ResultCode.OK

    @pytest.mark.parametrize("link_id", ["in", "out"])
    def test_a_link_that_is_down_refuses_stage_not_commit(self, bench: Bench, link_id: str) -> None:
        bench.stage(1, hop())
        bench.up[link_id] = False
        outcome = bench.stage(2, hop(circuit_id=8))
        assert outcome.code is ResultCode.LINK_DOWN and link_id in outcome.message
        assert bench.commit(1).code is ResultCode.OK


class TestGenerations:
    def put(self, bench: Bench, generation: int) -> Outcome:
        txn_id = 100 + generation
        staged = bench.stage(txn_id, hop(generation))
        return bench.commit(txn_id) if staged.code is ResultCode.OK else staged

    def test_three_generations_at_most(self, bench: Bench) -> None:
        assert self.put(bench, 1).code is ResultCode.OK
        assert self.put(bench, 2).code is ResultCode.OK
        assert self.put(bench, 3).code is ResultCode.OK
        fourth = self.put(bench, 4)
        assert fourth.code is ResultCode.INVALID_HOP and "withdraw one first" in fourth.message

    def test_two_stages_cannot_commit_to_four_generations(self, bench: Bench) -> None:
        self.put(bench, 1)
        self.put(bench, 2)
        bench.stage(3, hop(3))
        bench.stage(4, hop(4))
        assert bench.commit(3).code is ResultCode.OK
        assert bench.commit(4).code is ResultCode.INVALID_HOP

    def test_withdraw_removes_that_generation_of_that_circuit_only(self, bench: Bench) -> None:
        bench.stage(1, hop(1), hop(2), hop(1, circuit_id=8))
        bench.commit(1)
        outcome = bench.withdraw(CircuitGeneration(7, 1))
        assert outcome.removed == (CircuitGeneration(7, 1),)
        assert outcome.new_floors == {7: 2}
        assert [each.key for each in bench.table.hops] == [(7, 2), (8, 1)]

    def test_withdrawing_a_newer_generation_leaves_the_older_one_carrying(
        self, bench: Bench
    ) -> None:
        bench.stage(1, hop(1))
        bench.commit(1)
        bench.stage(2, hop(2))
        bench.commit(2)
        outcome = bench.withdraw(CircuitGeneration(7, 2))
        assert outcome.removed == (CircuitGeneration(7, 2),)
        assert outcome.new_floors == {7: 3}
        assert [each.key for each in bench.table.hops] == [(7, 1)]

    @pytest.mark.parametrize("generation", [0, 2**63, 2**64 - 1])
    def test_generations_beyond_measure_are_refused(self, bench: Bench, generation: int) -> None:
        outcome = bench.withdraw(CircuitGeneration(7, generation))
        assert outcome.code is ResultCode.INVALID_HOP
        assert outcome.new_floors == {}

    def test_a_delayed_stage_resurrects_nothing(self, bench: Bench) -> None:
        bench.stage(1, hop(1))
        bench.withdraw(CircuitGeneration(7, 1))
        assert bench.commit(1).code is ResultCode.STALE_GENERATION
        refused = bench.stage(2, hop(1))
        assert refused.code is ResultCode.STALE_GENERATION and "2 or higher" in refused.message
        assert self.put(bench, 2).code is ResultCode.OK

    def test_tombstones_outlive_a_restart(self, bench: Bench) -> None:
        floors = dict(bench.withdraw(CircuitGeneration(7, 3)).new_floors)
        bench.table = bench.fresh(floors)
        assert bench.stage(1, hop(3)).code is ResultCode.STALE_GENERATION
        assert bench.withdraw(CircuitGeneration(7, 2)).new_floors == {}

    def test_other_values_need_a_higher_generation(self, bench: Bench) -> None:
        self.put(bench, 1)
        assert bench.stage(9, hop(1)).code is ResultCode.OK
        assert bench.stage(10, hop(1, power_w=5.0)).code is ResultCode.STALE_GENERATION

    def test_drain_is_for_sinks(self, bench: Bench) -> None:
        self.put(bench, 1)
        assert bench.drain(CircuitGeneration(7, 1)).code is ResultCode.INVALID_HOP
        assert bench.drain(CircuitGeneration(99, 1)).code is ResultCode.OK


class TestPromote:
    def test_a_standby_becomes_a_working_generation(self, bench: Bench) -> None:
        bench.stage(1, hop(1), hop(2, standby=True))
        bench.commit(1)
        version = bench.table.version
        outcome = bench.promote(CircuitGeneration(7, 2))
        assert outcome.code is ResultCode.OK and outcome.promoted == (hop(2),)
        assert bench.table.hops == [hop(1), hop(2)] and bench.table.version == version + 1

    def test_again_and_of_a_working_generation_it_changes_nothing(self, bench: Bench) -> None:
        bench.stage(1, hop(1), hop(2, standby=True))
        bench.commit(1)
        bench.promote(CircuitGeneration(7, 2))
        version = bench.table.version
        for generation in (1, 2):
            again = bench.promote(CircuitGeneration(7, generation))
            assert again.code is ResultCode.OK and not again.promoted
        assert bench.table.version == version

    def test_a_generation_that_stands_there_twice_is_promoted_once(self, bench: Bench) -> None:
        bench.stage(1, hop(2, standby=True))
        bench.commit(1)
        outcome = bench.promote(CircuitGeneration(7, 2), CircuitGeneration(7, 2))
        assert codes(outcome) == [ResultCode.OK] * 2 and outcome.promoted == (hop(2),)

    @pytest.mark.parametrize("unknown", [CircuitGeneration(7, 1), CircuitGeneration(8, 2)])
    def test_of_what_is_not_here_or_withdrawn_nothing_is_promoted(
        self, bench: Bench, unknown: CircuitGeneration
    ) -> None:
        bench.stage(1, hop(1, standby=True), hop(2, standby=True))
        bench.commit(1)
        bench.withdraw(CircuitGeneration(7, 1))
        outcome = bench.promote(CircuitGeneration(7, 2), unknown)
        assert codes(outcome) == [ResultCode.NOT_ATTEMPTED, ResultCode.INVALID_HOP]
        assert outcome.code is ResultCode.INVALID_HOP and "holds no such" in outcome.message
        assert bench.table.hops == [hop(2, standby=True)]

    def test_an_older_leader_promotes_nothing(self, bench: Bench) -> None:
        bench.stage(1, hop(1, standby=True))
        bench.commit(1)
        bench.election_id = ElectionId(0, 4)
        assert bench.promote(CircuitGeneration(7, 1)).code is ResultCode.STALE_ELECTION_ID
        assert bench.table.hops == [hop(1, standby=True)]

    def test_a_commit_that_is_repeated_after_it_undoes_nothing(self, bench: Bench) -> None:
        bench.stage(1, hop(1, standby=True))
        bench.commit(1)
        bench.promote(CircuitGeneration(7, 1))
        assert bench.commit(1).code is ResultCode.OK
        assert bench.table.hops == [hop(1)]


class TestElection:
    def test_zero_is_refused(self, bench: Bench) -> None:
        bench.election_id = NO_ELECTION_ID
        assert bench.stage(1, hop()).code is ResultCode.STALE_ELECTION_ID

    def test_the_highest_is_obeyed_named_and_kept(self, bench: Bench) -> None:
        assert bench.stage(1, hop()).new_election_id
        assert not bench.stage(2, hop(circuit_id=8)).new_election_id
        bench.controller, bench.election_id = "two:50052", ElectionId(1, 0)
        assert bench.commit(1).new_election_id
        bench.controller, bench.election_id = "one:50052", ElectionId(0, 5)
        refused = bench.commit(2)
        assert refused.code is ResultCode.STALE_ELECTION_ID
        assert refused.highest_election_id == ElectionId(1, 0)
        assert "1:0" in refused.message

    def test_another_controllers_id_is_refused(self, bench: Bench) -> None:
        bench.stage(1, hop())
        bench.controller = "two:50052"
        assert bench.commit(1).code is ResultCode.STALE_ELECTION_ID


def test_a_router_obeys_nobody_below_the_leader_that_has_greeted_it() -> None:
    bench = Bench()
    assert bench.stage(1, HOP).code is ResultCode.OK
    bench.table.greet("two:50052", ElectionId(0, 6))
    # What the one before had staged is not committed any more, and it may not stage either.
    assert bench.commit(1).code is ResultCode.STALE_ELECTION_ID
    assert bench.stage(2, HOP).code is ResultCode.STALE_ELECTION_ID
    assert bench.table.hops == []
    # A greeting that comes late, or again, changes nothing.
    bench.table.greet("one:50052", ElectionId(0, 5))
    bench.table.greet("three:50052", ElectionId(0, 6))
    assert bench.table.highest_election_id == ElectionId(0, 6)
    bench.controller, bench.election_id = "two:50052", ElectionId(0, 6)
    assert bench.stage(3, HOP).code is ResultCode.OK


def test_a_later_leader_may_use_the_ids_of_an_earlier_ones_transactions() -> None:
    bench = Bench()
    bench.stage(1, HOP)
    bench.commit(1)
    bench.stage(2, hop(circuit_id=8))
    bench.controller, bench.election_id = "two:50052", ElectionId(0, 6)
    assert bench.commit(2).code is ResultCode.UNKNOWN_TRANSACTION
    # It is staged and committed indeed, and not answered for what the earlier leader had done under its id.
    assert bench.stage(1, hop(circuit_id=9)).code is ResultCode.OK
    assert bench.commit(1).added == (hop(circuit_id=9),)
