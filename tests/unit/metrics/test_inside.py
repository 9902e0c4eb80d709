"""What a controller tells of its own work: searches, routers' answers, the store, the loop, computations."""

import pytest

from controller.core.book.bounds import Bound, bounds_of
from controller.core.network.link import LinkState
from controller.metrics.reference import BY_NAME, PREFIX
from controller.metrics.server import serving_metrics
from controller.metrics.store_look import StoreLook
from controller.runtime.stored_reads import StoredReads
from controller.store.protocol import StoreError, StoreRoom
from controller.tallies import Computation, Outcome
from controller.watching.meter_look import MeterLook
from digitalgrid.client import power_request
from digitalgrid.client.errors import RequestRefused
from digitalgrid.model import DownCause
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.power_link_pb2 import LinkMeter, RouterMeters
from tests.support.metrics import labels_that_differ, scraped
from tests.support.northbound import balanced, in_loop, northbound, until
from tests.unit.metrics.test_server import fresh, metered, of


@in_loop
async def test_searches_answers_and_what_is_reserved_are_told() -> None:
    async with metered() as (api, port):
        first = await api.client.request_power(power_request("town", 3e6))
        batch = [power_request("town", 1e3), power_request("works", 1e3)]
        await api.client.batch_request_power(batch)
        with pytest.raises(RequestRefused) as refused:
            await api.client.request_power(power_request("town", 30e6))
        await api.client.wait_until_active([first.circuits[0].circuit_id])
        await until(lambda: api.runtime.questions.in_flight == 0)
        figures = await fresh(port)
        assert of(figures, "route_duration_seconds_count", search="route") >= 1
        assert of(figures, "route_duration_seconds_count", search="batch") == 1
        assert of(figures, "route_duration_seconds_sum", search="route") > 0
        assert of(figures, "route_settled_routers_sum", search="route") >= 1
        assert of(figures, "admission_batch_requests_count") == 3
        assert of(figures, "admission_batch_requests_sum") == 4
        blocked = {bound: of(figures, "decisions_blocked_total", by=bound) for bound in Bound}
        assert set(bounds_of(refused.value.metadata)) == {b for b, n in blocked.items() if n}
        for operation in ("STAGE", "COMMIT"):
            answered = of(figures, "transactions_total", operation=operation, result="OK")
            assert answered >= 2
            name = "transaction_duration_seconds_count"
            assert of(figures, name, operation=operation) == answered
        assert of(figures, "generations_in_flight") == of(figures, "generations_queued") == 0
        reserved_w = of(figures, "source_power_watts", state="reserved")
        sources = api.runtime.view.sources.values()
        all_w = sum(source.max_power_w for _, source in sources)
        assert 3e6 < reserved_w < 4e6
        assert of(figures, "source_power_watts", state="free") == all_w - reserved_w
        links = sum(v for (name, _), v in figures.items() if name == "dgc_links_loaded")
        assert links == len(api.runtime.view.links)
        share = of(figures, "link_utilisation_ratio")
        assert share == max(api.runtime.questions.link_shares()) > 0
        assert of(figures, "lsas_total", worth="news") >= 4
        assert of(figures, "southbound_sessions_total", event="opened") == 4


@in_loop
async def test_the_store_and_the_loop_are_told() -> None:
    async with metered() as (api, port):
        await api.client.request_power(power_request("town", 1e3))
        figures = await fresh(port)
        assert of(figures, "store_batch_changes_count") > 0
        assert of(figures, "store_size_bytes") == 4096
        assert of(figures, "store_free_bytes") == 1e9
        assert of(figures, "store_lease_remaining_seconds") == 1.5
        assert of(figures, "standbys") == 1
        busy = {p: of(figures, "loop_busy_seconds_total", part=p) for p in ("clients", "routers")}
        assert all(busy.values())
        assert of(figures, "rpc_rejected_total", kind="calls") == 0


@in_loop
async def test_computations_are_counted_by_what_they_are_and_how_they_end() -> None:
    async with metered() as (api, port):
        assert of(await scraped(port), "solver_runs_total", kind="what-if", outcome="solved") == 0
        request = pb.WhatIfRequest(cut_ids=["r1-r3"])
        await api.client.what_if(request)
        tallies = api.runtime.tallies
        assert tallies.solved[Computation.WHAT_IF, Outcome.SOLVED] == 1
        served = await api.client.dispatch(
            pb.DispatchRequest(dry_run=True, admission=pb.ADMISSION_MODE_ONE_BY_ONE)
        )
        assert served.served_w > 0
        await api.client.request_power(power_request("town", 1e6))
        await api.client.reoptimise(pb.ReoptimiseRequest(dry_run=True))
        figures = await fresh(port)
        assert of(figures, "solver_duration_seconds_count", kind="what-if") == 1
        for kind in ("dispatch", "reoptimise"):
            assert of(figures, "solver_iterations_count", kind=kind) == 1
            assert of(figures, "solver_iterations_sum", kind=kind) >= 1


@in_loop
async def test_overload_that_routers_meter_is_counted_over_their_restarts() -> None:
    told = [3, 5, 1]

    async def read() -> tuple[list[RouterMeters], list[str]]:
        link = LinkMeter(link_id="a-b", oversubscribed_instants=told.pop(0))
        return [RouterMeters(router_id="a", links=[link], max_formula_deviation_mj=0.5)], []

    async with northbound() as api:
        look = MeterLook(read, lambda: api.runtime.view)
        counted = []
        with look.wanted(0.0):
            for _ in range(3):
                reading = await look.news()
                counted.append(reading.oversubscribed)
                if not told:
                    break
    assert counted == [3, 5, 6]
    assert reading.formula_deviation_mj == 0.5


@in_loop
async def test_links_are_told_one_by_one_to_those_who_ask_for_that() -> None:
    async with northbound() as api:
        look = balanced(api)
        serving = serving_metrics(api.runtime, api.gate, look, "127.0.0.1:0", of_links=True)
        async with serving as port:
            answer = await api.client.request_power(power_request("town", 1e6))
            await api.client.wait_until_active([answer.circuits[0].circuit_id])
            api.grid.cut("r1-r2")
            figures = await scraped(port)
            links = api.runtime.view.links
            for link_id, link in links.items():
                assert of(figures, "link_up", link=link_id) == (link_id != "r1-r2")
                assert of(figures, "link_ampacity_amperes", link=link_id) == link.ampacity_a
            reserved_a = [
                of(figures, "link_reserved_amperes", link=each.link_id, router=end, to=far)
                / each.ampacity_a
                for each in links.values()
                for end, far in ((each.a, each.b), (each.b, each.a))
            ]
            assert max(reserved_a) == of(figures, "link_utilisation_ratio") > 0
            # Not at each scrape, whoever asks how often.
            api.grid.mend("r1-r2")
            assert of(await fresh(port), "link_up", link="r1-r2") == 0
    async with metered() as (_, port):
        assert not [name for name, _ in await scraped(port) if name == "dgc_link_up"]


@in_loop
async def test_places_are_told_of_routers_that_have_one_with_their_links() -> None:
    async with northbound() as api:
        await api.client.place_routers({"r1": (-3.5, 2e6)})
        look = balanced(api)
        serving = serving_metrics(api.runtime, api.gate, look, "127.0.0.1:0", of_links=True)
        async with serving as port:
            figures = await scraped(port)
            told = {labels: v for (name, labels), v in figures.items() if "coordinate" in name}
            assert told == {
                (("axis", "x"), ("router", "r1")): -3.5,
                (("axis", "y"), ("router", "r1")): 2e6,
            }
            assert labels_that_differ(figures, PREFIX, BY_NAME) == []


@pytest.mark.parametrize(
    ("metadata", "bounds"),
    [
        ({}, set()),
        ({"deliverable_w": "3.0"}, set()),
        ({"bottleneck_links": "a-b", "bottleneck_routers": ""}, {Bound.FULL_LINES}),
        # A bottleneck by being down alone is not full.
        ({"bottleneck_links": "a-b", "links_down": "a-b"}, {Bound.LINES_DOWN}),
        (
            {"bottleneck_links": "a-b,b-c", "links_down": "a-b"},
            {Bound.LINES_DOWN, Bound.FULL_LINES},
        ),
        ({"bottleneck_links": "", "bottleneck_routers": "b"}, {Bound.FULL_ROUTERS}),
        ({"bottleneck_links": "", "bottleneck_routers": ""}, {Bound.SOURCES}),
        ({"bridges": "a-b"}, {Bound.BRIDGES}),
    ],
)
def test_what_stood_in_the_way_is_a_word(metadata: dict[str, str], bounds: set[Bound]) -> None:
    assert set(bounds_of(metadata)) == bounds


@in_loop
async def test_a_store_that_cannot_tell_its_size_is_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[StoreRoom | StoreError] = [
        StoreRoom(1, 2),
        StoreError("gone"),
        StoreError("gone"),
    ]

    async def told(_: StoredReads) -> StoreRoom:
        answer = answers.pop(0)
        if isinstance(answer, StoreError):
            raise answer
        return answer

    monkeypatch.setattr(StoredReads, "room", told)
    async with northbound() as api:
        look = StoreLook(api.runtime)
        await look.look()
        assert look.room == StoreRoom(1, 2)
        for _ in range(2):
            await look.look()
            assert look.room is None
    assert caplog.text.count("gone") == 1


@in_loop
async def test_a_line_that_went_down_is_counted_by_why_and_one_that_is_drained_is_off() -> None:
    async with metered() as (api, port):
        await api.client.drain(pb.DrainRequest(id="r3-r4"))
        await api.client.wait_until_drained("r3-r4")
        for line in ("r2-r4", "r3-r4"):
            api.grid.cut(line)
        await until(lambda: api.runtime.tallies.line_downs[DownCause.CARRIER_LOST] == 2)
        figures = await fresh(port)
        assert of(figures, "link_failures_total", cause="carrier_lost") == 2
        assert of(figures, "link_failures_total", cause="silent") == 0
        assert of(figures, "links", state="down") == of(figures, "links", state="off") == 1
        assert of(figures, "routers", state="off") == 0


@in_loop
async def test_a_line_that_is_cut_while_its_router_is_being_drained_is_down() -> None:
    async with metered() as (api, port):
        await api.client.request_power(power_request("town", 1e6))
        (town_router, _) = api.runtime.view.loads["town"]
        # With the load there it never comes to its end.
        await api.client.drain(pb.DrainRequest(id=town_router, keep=True))
        line = min(each for each in api.runtime.view.links if town_router in each.split("-"))
        api.grid.cut(line)
        await until(lambda: api.runtime.view.links[line].state is LinkState.DOWN)
        figures = await fresh(port)
        assert of(figures, "drains", state="draining") == 1
        assert of(figures, "links", state="down") == 1
        assert of(figures, "links", state="off") == 0
