"""Mininet's own command, with our topology files."""

import subprocess
import sys
from pathlib import Path

import pytest

from topologies.emulator.plan import EmulationOptions

pytestmark = pytest.mark.usefixtures("nothing_left")
ROOT = Path(__file__).parents[2]
CLASSES = ("--host", "dgr", "--switch", "dgs", "--controller", "dgc")


def mininet(script: str, file: str, topology: str, options: EmulationOptions) -> str:
    """Everything that ``mn`` prints while it obeys the script."""
    command = Path(sys.executable).with_name("mn")
    topology += f",run_dir={options.run_dir},northbound={options.northbound}"
    arguments = ("--custom", f"topologies/{file}.py", "--topo", topology)
    done = subprocess.run(
        [sys.executable, command, *arguments, *CLASSES],
        input=script + "\nexit\n",
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "Caught exception" not in done.stdout
    return done.stdout


def test_the_command_starts_everything_and_cuts_lines(options: EmulationOptions) -> None:
    log = options.run_dir / "routers" / "r3" / "router.log"
    script = "\n".join(
        (
            f"sh timeout 20 sh -c 'until grep -q leads {log}; do sleep 0.05; done' || echo TOO LATE",
            "r1 ping -c1 -W2 r3",
            "r1 ping -c1 -W2 dgc",
            "link r1 r2 down",
            "r2 ip link show r1-r2",
            "link r1 r2 up",
            "r2 ip link show r1-r2",
        )
    )
    output = mininet(script, "line3", "line3", options)
    assert "TOO LATE" not in output
    assert output.count("1 received, 0% packet loss") == 2
    assert output.count("state DOWN") == 1
    assert output.count("state UP") == 1
    assert "disconnected" in (options.run_dir / "controller.log").read_text()


@pytest.mark.parametrize(
    ("file", "topology", "routers"),
    [
        ("mesh", "mesh,6,2,control_switches=3", 6),
        ("ring", "ring,4", 4),
        ("grid", "grid,topologies/line3.grid.yaml", 3),
        ("line3", "line3,openflow_port=6699,southbound_port=50099,subnet=10.215.0.0/24", 3),
    ],
)
def test_each_topology_file_works(
    options: EmulationOptions, file: str, topology: str, routers: int
) -> None:
    output = mininet("net", file, topology, options)
    assert f"Stopping {routers + 1} hosts" in output
    assert len(list((options.run_dir / "routers").iterdir())) == routers
