"""Declared circuits: a plan first, then what it says and nothing else, asked of a real controller over real gRPC."""

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from click.testing import CliRunner, Result

from dgctl import main
from digitalgrid.client import power_request
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.northbound import Northbound, in_loop, northbound, until

DAY = """
prefix: day/
circuits:
  - {request_id: day/town, sink_id: town, power_w: 2e6, source_ids: [solar]}
  - {request_id: day/works, sink_id: works, power_w: 1e6}
"""


async def dgctl(api: Northbound, *words: str, text: str = DAY) -> Result:
    runner = CliRunner(env={"DGCTL_SERVER": api.address})
    return await asyncio.to_thread(runner.invoke, main, [*words, "-f", "-"], input=text)


def rows(result: Result) -> list[str]:
    return [" ".join(line.split()) for line in result.stdout.splitlines()]


def without_works(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if "works" not in line)


async def standing(api: Northbound) -> dict[str, pb.Circuit]:
    return {each.request_id: each for each in (await api.client.list_circuits()).circuits}


async def actions(api: Northbound, text: str, *words: str) -> list[tuple[str, str]]:
    """What a plan would do, by request."""
    result = await dgctl(api, "diff", "-o", "json", *words, text=text)
    steps: Sequence[dict[str, str]] = json.loads(result.stdout)["steps"]
    assert result.exit_code == (1 if any(each["action"] != "keep" for each in steps) else 0)
    return [(each["action"], each["requestId"]) for each in steps]


@in_loop
async def test_a_plan_changes_nothing_is_carried_out_and_then_there_is_nothing_to_do() -> None:
    async with northbound() as api:
        plan = await dgctl(api, "diff")
        assert (plan.exit_code, await standing(api)) == (1, {})
        assert rows(plan)[1:] == [
            "+ create day/town town 2 MW",
            "+ create day/works works 1 MW",
            "2 to create; 0 as declared",
        ]
        done = await dgctl(api, "apply", "--yes")
        assert (done.exit_code, rows(done)[-1]) == (0, "2 done, 0 refused")
        made = await standing(api)
        assert {each: made[each].power_w for each in made} == {"day/town": 2e6, "day/works": 1e6}
        for again in (await dgctl(api, "diff"), await dgctl(api, "apply", "--yes")):
            assert (again.exit_code, rows(again)[0]) == (0, "nothing to do: 2 as declared")
        assert (await standing(api)).keys() == made.keys()


@in_loop
async def test_another_power_is_changed_in_place_and_all_else_is_replaced() -> None:
    async with northbound() as api:
        await dgctl(api, "apply", "--yes")
        before = await standing(api)
        await api.client.wait_until_active([each.circuit_id for each in before.values()])
        other = DAY.replace("1e6}", "1.5e6}").replace("source_ids: [solar]", "hold_priority: 3")
        plan = rows(await dgctl(api, "diff", text=other))
        assert "power: 1 MW -> 1.5 MW" in plan[2] and plan[2].startswith("~ change day/works")
        assert "sources: solar -> any; hold priority: 0 -> 3" in plan[1]
        done = await dgctl(api, "apply", "--yes", text=other)
        assert done.exit_code == 0, done.output
        after = await standing(api)
        assert after["day/works"].circuit_id == before["day/works"].circuit_id
        assert after["day/works"].power_w == 1.5e6
        # An id is used once; the file goes on as it was.
        assert after["day/town#2"].hold_priority == 3
        released = await api.client.get_circuit(before["day/town"].circuit_id)
        assert not released.admin_up
        await until(lambda: api.runtime.questions.circuit(released.circuit_id).state.ended)
        assert await actions(api, other) == [("keep", "day/town"), ("keep", "day/works")]


@in_loop
async def test_what_is_only_held_or_would_end_by_itself_is_replaced_by_what_carries_and_stands() -> (
    None
):
    """Whoever asked for it under an id that is declared later has asked for something else."""
    async with northbound() as api:
        for asked in (
            power_request("town", 2e6, source_ids=["solar"], hold_ms=10**6, request_id="day/town"),
            power_request("works", 1e6, until_unix_ns=2**62, request_id="day/works"),
        ):
            await api.client.request_power(asked)
        plan = rows(await dgctl(api, "diff"))
        assert "hold: held -> none" in plan[1]
        assert "until: 2116-02-20 23:53:38.427 UTC -> none" in plan[2]
        done = await dgctl(api, "apply", "--yes")
        assert done.exit_code == 0, done.output
        await until(lambda: len(api.runtime.questions.standing) == 2)
        made = await standing(api)
        assert made.keys() == {"day/town#2", "day/works#2"}
        assert not any(each.HasField("until_unix_ns") for each in made.values())
        assert await actions(api, DAY) == [("keep", "day/town"), ("keep", "day/works")]


@in_loop
async def test_what_is_not_declared_any_more_goes_only_by_prune_and_only_with_the_prefix() -> None:
    async with northbound() as api:
        await dgctl(api, "apply", "--yes")
        await api.client.request_power(power_request("pump", 1e5, request_id="night/pump"))
        less = without_works(DAY)
        shown = await dgctl(api, "diff", text=less)
        assert (shown.exit_code, len(await standing(api))) == (0, 3)
        assert "not declared, and stays without --prune: day/works" in shown.stdout
        assert await actions(api, less, "--prune") == [
            ("release", "day/works"),
            ("keep", "day/town"),
        ]
        assert (await dgctl(api, "apply", "--yes", "--prune", text=less)).exit_code == 0
        await until(lambda: len(api.runtime.questions.standing) == 2)
        assert (await standing(api)).keys() == {"day/town", "night/pump"}
        nameless = less.replace("prefix: day/", "")
        refused = await dgctl(api, "apply", "--yes", "--prune", text=nameless)
        assert (refused.exit_code, "names no `prefix:`" in refused.stderr) == (2, True)


@in_loop
async def test_what_is_refused_is_told_and_keeps_nothing_else_from_being_done() -> None:
    async with northbound() as api:
        much = DAY.replace("2e6", "9e6")
        result = await dgctl(api, "apply", "--yes", "-o", "json", text=much)
        assert result.exit_code == 3
        town, works = json.loads(result.stdout)["outcomes"]
        assert town["refused"] and not town["madeCircuitIds"]
        assert works["madeCircuitIds"] and not works["refused"]
        assert (await standing(api)).keys() == {"day/works"}


@in_loop
async def test_what_was_refused_may_be_declared_otherwise_under_its_id() -> None:
    async with northbound() as api:
        await dgctl(api, "apply", "--yes", text=DAY.replace("2e6", "9e6"))
        done = await dgctl(api, "apply", "--yes")
        assert (done.exit_code, (await standing(api)).keys()) == (0, {"day/town", "day/works"})


@in_loop
async def test_a_replacement_that_was_interrupted_is_finished_without_a_third_circuit() -> None:
    async with northbound() as api:
        # Three of 2.5 MW would not fit.
        town = without_works(DAY).replace("2e6", "2.5e6")
        await dgctl(api, "apply", "--yes", text=town)
        old = (await standing(api))["day/town"]
        other = town.replace("[solar]", "[solar], hold_priority: 3")
        # As far as whoever was killed after it had made the new one.
        await api.client.request_power(
            power_request(
                "town", 2.5e6, source_ids=["solar"], request_id="day/town#2", hold_priority=3
            )
        )
        assert "replaced already" in (await dgctl(api, "diff", text=other)).stdout
        done = await dgctl(api, "apply", "--yes", text=other)
        assert done.exit_code == 0, done.output
        await until(lambda: api.runtime.questions.circuit(old.circuit_id).state.ended)
        assert (await standing(api)).keys() == {"day/town#2"}
        assert await actions(api, other) == [("keep", "day/town")]


@in_loop
async def test_two_who_apply_the_same_file_at_once_make_each_circuit_once(tmp_path: Path) -> None:
    # A CliRunner has the whole process, so these are processes.
    program = (sys.executable, "-c", "from dgctl import main; main()")
    async with northbound() as api:
        await dgctl(api, "apply", "--yes")
        file = tmp_path / "day.yaml"
        file.write_text(DAY.replace("source_ids: [solar]", "hold_priority: 3"))
        words = ("--server", api.address, "apply", "--yes", "-f", str(file))
        two = [await asyncio.create_subprocess_exec(*program, *words) for _ in range(2)]
        assert [await each.wait() for each in two] == [0, 0]
        await until(lambda: len(api.runtime.questions.standing) == 2)
        assert (await standing(api)).keys() == {"day/town#2", "day/works"}


@in_loop
async def test_what_does_not_fit_beside_what_it_replaces_waits_for_a_word() -> None:
    async with northbound() as api:
        big = without_works(DAY).replace("2e6", "5e6")
        await dgctl(api, "apply", "--yes", text=big)
        before = (await standing(api))["day/town"]
        await api.client.wait_until_active([before.circuit_id])
        # Twice 5 MW from the one source do not fit.
        other = big.replace("[solar]", "[solar], hold_priority: 3")
        refused = await dgctl(api, "apply", "--yes", text=other)
        assert refused.exit_code == 3
        assert "the old one stands: --interrupt would release it first" in refused.stdout
        assert (await standing(api))["day/town"].circuit_id == before.circuit_id
        done = await dgctl(api, "apply", "--yes", "--interrupt", text=other)
        assert done.exit_code == 0, done.output
        assert (await standing(api))["day/town#2"].hold_priority == 3


@in_loop
async def test_files_that_cannot_be_are_named_with_their_line_and_nothing_is_asked() -> None:
    async with northbound() as api:
        for text, said in (
            ("circuits:\n  - {sink_id: town, power_w: 1e6}\n", "is missing: declared circuits"),
            (DAY.replace("day/works", "day/town"), "as before; use it once"),
            (DAY.replace("day/works", "night/works"), "does not begin with the prefix 'day/'"),
            (DAY.replace("day/works", "day/works#2"), "are added by `dgctl apply`"),
            (DAY.replace("1e6", "-1e6"), "must be more than 0, not -1e+06"),
        ):
            result = await dgctl(api, "apply", "--yes", text=text)
            assert result.exit_code == 2
            assert "<stdin>:" in result.stderr and said in result.stderr
        nobody = await dgctl(api, "apply")
        assert (nobody.exit_code, "give --yes" in nobody.stderr) == (2, True)
        assert await standing(api) == {}


def test_a_file_is_read_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "day.yaml"
    file.write_text("circuits: [{request_id: a, sink_id: town, power_w: lots}]\n")
    result = CliRunner().invoke(main, ["diff", "-f", str(file)])
    assert (result.exit_code, f"{file}:1: 'power_w' must be a number" in result.stderr) == (2, True)
