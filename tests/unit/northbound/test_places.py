"""Places of routers as operators would rather see them: over what routers say, and durable."""

from dataclasses import replace
from pathlib import Path

import pytest

from controller.core.access import Action
from controller.core.settings import CoreSettings
from controller.runtime.runtime import Runtime
from controller.store.sqlite import SqliteStore
from digitalgrid.places import Place
from tests.support.attached_grid import AttachedGrid
from tests.support.calls import call
from tests.support.grids import diamond
from tests.support.northbound import Northbound, in_loop, northbound


async def places(api: Northbound) -> dict[str, Place | None]:
    topology = await api.client.get_topology()
    return {
        each.router_id: (each.at.x, each.at.y) if each.HasField("at") else None
        for each in topology.routers
    }


@in_loop
async def test_an_operators_word_stands_over_what_the_router_says() -> None:
    async with northbound() as api:
        router = api.grid.simulated.routers["r1"]
        router.config = replace(router.config, at=(1.5, -2.0))
        api.grid.connect("r1")
        assert (await places(api))["r1"] == (1.5, -2.0)
        await api.client.place_routers({"r1": (7.0, 8.0), "r2": (0.0, 0.0)})
        api.grid.connect("r1")
        assert (await places(api))["r1"] == (7.0, 8.0)
        assert (await places(api))["r2"] == (0.0, 0.0)
        await api.client.place_routers({"r1": None, "r2": None})
        assert await places(api) == {"r1": (1.5, -2.0), "r2": None, "r3": None, "r4": None}


@in_loop
async def test_whoever_watches_is_told_where_a_router_stands_now() -> None:
    async with northbound() as api:
        views = api.client.watch_topology()
        await anext(views)
        await api.client.place_routers({"r3": (3.0, 4.0)})
        async for view in views:
            if any(each.HasField("at") for each in view.routers):
                break
        (there,) = [each for each in view.routers if each.HasField("at")]
        assert (there.router_id, there.at.x, there.at.y) == ("r3", 3.0, 4.0)


@in_loop
async def test_a_place_is_refused_as_a_whole_with_one_that_nobody_knows() -> None:
    async with northbound() as api:
        with pytest.raises(Exception, match="r9"):
            await api.client.place_routers({"r1": (1.0, 1.0), "r9": (1.0, 1.0)})
        assert (await places(api))["r1"] is None


def test_places_survive_a_restart_and_are_followed_by_standbys(tmp_path: Path) -> None:
    @in_loop
    async def story() -> None:
        async def led(path: Path) -> tuple[Runtime, AttachedGrid]:
            runtime = Runtime(CoreSettings())
            runtime.lead(SqliteStore(path))
            grid = AttachedGrid(runtime, diamond())
            grid.connect()
            return runtime, grid

        runtime, _ = await led(tmp_path / "store.sqlite")
        standby = Runtime(CoreSettings())
        standby.follow(runtime.questions.stored())
        AttachedGrid(standby, diamond()).connect()
        runtime.handle(
            call(Action.PLACE),
            lambda core, now_ns: core.place_routers({"r2": (5.0, 6.0)}, now_ns),
        )
        await runtime.durable()
        standby.follow(runtime.questions.stored())
        assert standby.view.routers["r2"].at == (5.0, 6.0)
        assert standby.view.routers["r1"].at is None
        runtime.close()
        standby.close()
        runtime, _ = await led(tmp_path / "store.sqlite")
        assert runtime.view.routers["r2"].at == (5.0, 6.0)
        runtime.close()

    story()
