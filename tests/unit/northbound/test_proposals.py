"""Routing plug-ins over real gRPC, in their worker process: asked, compared, judged, and done without."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from controller.computing.proposing import Proposer
from digitalgrid.client import RequestRefused, power_request
from digitalgrid.counters import COUNTERS
from digitalgrid.plugins.table import PluginError
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.northbound import Northbound, in_loop, northbound
from tests.support.plugins import BEST_WAY, GREEDY_WAY, growing, install, install_example

GROUP = "digitalgrid.routing_algorithms"
# Each does wrong in a way of its own.
WRONG = """
import os, time

class _Wrong:
    interface_version = 1

class Raises(_Wrong):
    def propose(self, view, request):
        raise LookupError("nothing here")

class Hangs(_Wrong):
    def propose(self, view, request):
        time.sleep(3600)

class Dies(_Wrong):
    def propose(self, view, request):
        os._exit(3)

class Babbles(_Wrong):
    def propose(self, view, request):
        return [view.arc_count + 7]

class Loops(_Wrong):
    def propose(self, view, request):
        arc = int((view.head == request.sink).nonzero()[0][0])
        back = int((view.tail == view.head[arc]).nonzero()[0][0])
        return [arc, back]

class Writes(_Wrong):
    def propose(self, view, request):
        view.headroom_a[:] = 1e9

class Silent(_Wrong):
    def propose(self, view, request):
        return None
"""
NAMES = ("Raises", "Babbles", "Loops", "Writes", "Silent")
# They cost a comparison its worker, and so seconds.
RUDE_NAMES = ("Hangs", "Dies")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    install_example(tmp_path, "greedy")
    entries = {name.lower(): f"wrong_algorithms:{name}" for name in NAMES}
    install(tmp_path, "wrong", {GROUP: entries}, {"wrong_algorithms": WRONG})
    return tmp_path


@pytest.fixture
def rude(site: Path) -> Path:
    entries = {name.lower(): f"wrong_algorithms:{name}" for name in RUDE_NAMES}
    install(site, "wrong-and-rude", {GROUP: entries}, {})
    return site


@asynccontextmanager
async def choosing(
    algorithm: str, within_s: float = 10.0, compared_within_s: float = 10.0
) -> AsyncIterator[Northbound]:
    chosen = {
        "algorithm": algorithm,
        "within_s": within_s,
        "compared_within_s": compared_within_s,
    }
    async with northbound(growing(), **chosen) as api:  # type: ignore[arg-type]
        yield api


def town(power_w: float = 3e6, **more: object) -> pb.PowerRequest:
    return power_request("town", power_w, **more)  # type: ignore[arg-type]


@in_loop
async def test_what_was_chosen_proposes_the_path_of_each_request(site: Path) -> None:
    async with choosing("greedy") as api:
        before = COUNTERS.value("routing_proposals", "taken")
        preview = await api.client.compute_power(town())
        (circuit,) = (await api.client.request_power(town())).circuits
        await api.client.batch_request_power([town(2e5), town(1e5)])
        ways = [list(each.router_ids) for each in (preview.circuits[0], circuit)]
        assert ways == [GREEDY_WAY, GREEDY_WAY]
        assert circuit.injected_w == preview.circuits[0].injected_w
        assert COUNTERS.value("routing_proposals", "taken") == before + 3
        assert api.reserved()


@in_loop
async def test_algorithms_are_compared_side_by_side_and_nothing_is_reserved(site: Path) -> None:
    async with choosing("least-loss") as api:
        asked = pb.ComputePathsRequest(request=town(), algorithms=["greedy", "*", "least-loss"])
        answer = await api.client.compute_paths(asked)
        told = {each.algorithm: each for each in answer.proposals if each.HasField("circuit")}
        assert [each.algorithm for each in answer.proposals[:3]] == [
            "greedy",
            "babbles",
            "least-loss",
        ]
        assert list(told["greedy"].circuit.router_ids) == GREEDY_WAY
        assert list(told["least-loss"].circuit.router_ids) == BEST_WAY
        assert told["least-loss"].circuit == answer.circuits[0]
        assert told["greedy"].circuit.injected_w > told["least-loss"].circuit.injected_w
        assert told["greedy"].package == "digitalgrid-greedy 0.1.0"
        assert (told["least-loss"].chosen, told["greedy"].chosen) == (True, False)
        assert told.keys() == {"greedy", "least-loss"}
        why = {each.algorithm: each.refused for each in answer.proposals}
        assert "LookupError: nothing here" in why["raises"]
        assert "names an arc beyond" in why["babbles"]
        assert "passes a router twice" in why["loops"] or "do not join" in why["loops"]
        assert "read-only" in why["writes"]
        assert why["silent"] == "it proposes nothing"
        assert api.reserved() == {}


@in_loop
async def test_a_comparison_for_a_circuit_takes_what_it_holds_as_free(site: Path) -> None:
    async with choosing("least-loss") as api:
        (circuit,) = (await api.client.request_power(town(4e6))).circuits
        asked = pb.ComputePathsRequest(
            request=town(4e6), algorithms=["least-loss"], as_circuit_id=circuit.circuit_id
        )
        (proposal,) = (await api.client.compute_paths(asked)).proposals
        assert list(proposal.circuit.router_ids) == list(circuit.router_ids)
        assert proposal.circuit.injected_w == pytest.approx(circuit.injected_w)


@in_loop
async def test_names_that_are_not_installed_are_refused(site: Path) -> None:
    async with choosing("least-loss") as api:
        with pytest.raises(RequestRefused) as refused:
            await api.client.compute_paths(
                pb.ComputePathsRequest(request=town(), algorithms=["clever"])
            )
        assert refused.value.reason == "UNKNOWN_ALGORITHM"


@in_loop
async def test_a_comparison_waits_for_nobody_for_ever(rude: Path) -> None:
    async with choosing("least-loss", compared_within_s=2.0) as api:
        asked = pb.ComputePathsRequest(request=town(), algorithms=["hangs", "dies", "greedy"])
        hangs, dies, greedy = (await api.client.compute_paths(asked)).proposals
        assert "no answer" in hangs.refused
        # Where the machine is slow, its worker has not begun in the time that it has.
        assert "killed" in dies.refused or "no answer" in dies.refused
        # So it may be with the next, which is served once there is time: by then nobody hangs any more.
        while not greedy.HasField("circuit"):
            assert "no answer" in greedy.refused
            alone = pb.ComputePathsRequest(request=town(), algorithms=["greedy"])
            (greedy,) = (await api.client.compute_paths(alone)).proposals


@pytest.mark.parametrize("name", ["raises", "dies", "loops"])
def test_who_is_wrong_delays_nobody_for_long_and_our_own_search_serves(
    rude: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    @in_loop
    async def check() -> None:
        async with choosing(name) as api:
            (circuit,) = (await api.client.request_power(town(1e6))).circuits
            assert list(circuit.router_ids) == BEST_WAY
            await api.client.request_power(town(1e6))

    with caplog.at_level(logging.WARNING, "controller.computing.proposing"):
        check()
    # Who fails is not asked again at once; who proposes what does not hold, or nothing, is.
    told = [each.message for each in caplog.records if each.name.endswith("proposing")]
    assert len(told) == (0 if name == "loops" else 1)
    assert all("of package wrong" in each for each in told)


@in_loop
async def test_who_hangs_is_waited_for_no_longer_than_was_configured(rude: Path) -> None:
    async with choosing("hangs", within_s=0.05) as api:
        loop = asyncio.get_running_loop()
        turned = loop.time()
        (circuit,) = (await api.client.request_power(town(1e6))).circuits
        assert list(circuit.router_ids) == BEST_WAY
        before = COUNTERS.value("routing_proposals", "not asked")
        await api.client.request_power(town(1e6))
        assert COUNTERS.value("routing_proposals", "not asked") == before + 1
        # It is still asleep, and nothing has waited for that.
        assert loop.time() - turned < 3600


@in_loop
async def test_protected_and_split_requests_are_ours_alone(site: Path) -> None:
    async with choosing("greedy") as api:
        before = COUNTERS.snapshot()
        await api.client.request_power(town(1e6, allow_split=True))
        await api.client.request_power(town(1e6, protect="link"))
        assert COUNTERS.snapshot() == before


@in_loop
async def test_what_cannot_be_imported_is_not_begun_with(site: Path) -> None:
    install(site, "absent", {GROUP: {"absent": "no_such_module:X"}}, {})
    async with northbound() as api:
        proposer = Proposer(api.runtime, "absent")
        try:
            with pytest.raises(PluginError, match="'absent' of package absent"):
                await proposer.start()
        finally:
            proposer.close()
