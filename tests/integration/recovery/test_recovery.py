"""Kill -9, restarts, wiped state and lines cut while nobody is in charge, with real daemons and agents."""

import json
import shutil
import time
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from dgc.cli import main
from digitalgrid.client import ControllerUnreachable, PowerClient, power_request
from digitalgrid.v1 import northbound_pb2 as pb
from tests.support.engines import on_both_engines, wait_until_compiled
from tests.support.patience import PATIENCE_S
from topologies.emulator.local_backend import LocalEmulation
from topologies.emulator.plan import EmulationOptions


def wait_for(condition: Callable[[], bool]) -> float:
    """Seconds until it comes true; processes tell nobody."""
    began_s = time.monotonic()
    while True:
        try:
            if condition():
                return time.monotonic() - began_s
        except ControllerUnreachable:
            pass
        assert time.monotonic() < began_s + PATIENCE_S, "it never came true"
        time.sleep(0.02)


def make_circuit(client: PowerClient) -> pb.Circuit:
    asked = client.request_power(power_request("town", 2e6, source_ids=["solar"]))
    (circuit,) = client.wait_until_active([each.circuit_id for each in asked.circuits])
    assert list(circuit.router_ids) == ["r1", "r2", "r4"]
    return circuit


def carries(client: PowerClient, circuit_id: int) -> pb.Circuit | None:
    circuit = client.get_circuit(circuit_id)
    return circuit if circuit.state == pb.CIRCUIT_STATE_ACTIVE else None


def table_versions(client: PowerClient) -> dict[str, int]:
    routers = client.get_topology().routers
    return {each.router_id: each.table_version for each in routers if each.connected}


def boot_of(client: PowerClient, router_id: str) -> int:
    routers = client.get_topology().routers
    return next(each.boot_id for each in routers if each.router_id == router_id)


def dgc(options: EmulationOptions, *words: str) -> Result:
    return CliRunner().invoke(main, [*words, "--server", options.northbound])


def test_after_kill_9_the_daemon_adopts_what_runs_without_touching_it(
    emulation: LocalEmulation, client: PowerClient, options: EmulationOptions
) -> None:
    circuit = make_circuit(client)
    wait_for(lambda: dgc(options, "reconcile", "--dry-run").exit_code == 0)
    before = client.get_circuit(circuit.circuit_id)
    emulation.kill_controller()
    emulation.restart_controller()
    wait_for(lambda: len(table_versions(client)) == 4)
    wait_for(lambda: carries(client, circuit.circuit_id) is not None)
    after = client.get_circuit(circuit.circuit_id)
    assert (after.generation, after.interruptions) == (before.generation, 0)
    result = dgc(options, "reconcile", "--dry-run", "-o", "json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    confirmed = {each["routerId"]: each["confirmed"] for each in document["routers"]}
    assert confirmed == {"r1": 1, "r2": 1, "r3": 0, "r4": 1}
    # Staged and committed once each, and nothing since: the session's end and begin changed no table.
    assert {key: table_versions(client)[key] for key in ("r1", "r2", "r4")} == {
        "r1": 1,
        "r2": 1,
        "r4": 1,
    }


def test_a_line_cut_while_no_controller_is_there_is_gone_round_when_one_returns(
    emulation: LocalEmulation, client: PowerClient
) -> None:
    circuit = make_circuit(client)
    emulation.kill_controller()
    emulation.cut("r2-r4")
    emulation.restart_controller()
    wait_for(lambda: len(table_versions(client)) == 4)
    took_s = wait_for(
        lambda: (
            (there := carries(client, circuit.circuit_id)) is not None
            and list(there.router_ids) == ["r1", "r3", "r4"]
        )
    )
    assert took_s < 5.0


@on_both_engines
def test_whatever_engine_it_is_killed_on_the_daemon_goes_on_with_what_it_promised(
    emulation: LocalEmulation, client: PowerClient
) -> None:
    circuit = make_circuit(client)
    for _ in range(2):
        # The first while the engine changes, or before, and the second afterwards.
        emulation.kill_controller()
        emulation.restart_controller()
        wait_for(lambda: len(table_versions(client)) == 4)
        there = client.get_circuit(circuit.circuit_id)
        assert (there.generation, there.interruptions) == (circuit.generation, 0)
        wait_until_compiled(client)
        wait_for(lambda: carries(client, circuit.circuit_id) is not None)
    emulation.cut("r2-r4")
    wait_for(
        lambda: (
            (there := carries(client, circuit.circuit_id)) is not None
            and list(there.router_ids) == ["r1", "r3", "r4"]
        )
    )


@pytest.mark.parametrize("wiped", [False, True])
def test_a_router_that_starts_again_is_programmed_again(
    emulation: LocalEmulation, client: PowerClient, options: EmulationOptions, wiped: bool
) -> None:
    circuit = make_circuit(client)
    emulation.kill_router("r4")
    wait_for(lambda: "r4" not in table_versions(client))
    emulation.restart_router("r4")
    wait_for(lambda: boot_of(client, "r4") == 2)
    wait_for(lambda: carries(client, circuit.circuit_id) is not None)
    emulation.kill_router("r4")
    wait_for(lambda: "r4" not in table_versions(client))
    if wiped:
        (journal,) = options.run_dir.glob("**/r4/**/promises")
        shutil.rmtree(journal.parent)
    emulation.restart_router("r4")
    wait_for(lambda: boot_of(client, "r4") == (1 if wiped else 3))
    wait_for(lambda: carries(client, circuit.circuit_id) is not None)
    assert all(each.up for each in client.get_topology().links)


def test_a_router_that_never_returns_is_forgotten(
    emulation: LocalEmulation, client: PowerClient, options: EmulationOptions
) -> None:
    circuit = make_circuit(client)
    # Nobody is given up while routers may still be on their way to a new daemon.
    wait_for(lambda: dgc(options, "forget-router", "r2").exit_code == 3)
    emulation.kill_router("r2")
    wait_for(
        lambda: (
            (there := carries(client, circuit.circuit_id)) is not None
            and list(there.router_ids) == ["r1", "r3", "r4"]
        )
    )
    wait_for(lambda: dgc(options, "forget-router", "r2").exit_code == 0)
    assert "r2" not in {each.router_id for each in client.get_topology().routers}
    emulation.restart_router("r2")
    wait_for(lambda: "r2" in table_versions(client))
    assert carries(client, circuit.circuit_id) is not None
    assert dgc(options, "reconcile", "--dry-run").exit_code == 0
