"""Open vSwitch: started where it does not run (there may be no systemd), and what of it is ours."""

from pathlib import Path

from topologies.emulator.errors import CommandError
from topologies.emulator.shell import run

# Written into each bridge that an emulation makes, with the network that it belongs to.
OWNER_KEY = "owner"

# There while Open vSwitch runs because an emulation needed it: whoever is the last to need it stops it.
_STARTED_BY_US = Path("/run/digitalgrid-openvswitch")
_INIT_SCRIPT = "/etc/init.d/openvswitch-switch"
_CTL_SCRIPT = "/usr/share/openvswitch/scripts/ovs-ctl"


def is_running() -> bool:
    """Whether both daemons answer."""
    try:
        run("ovs-vsctl", "--timeout=2", "get", "Open_vSwitch", ".", "_uuid")
        run("ovs-appctl", "--timeout=2", "-t", "ovs-vswitchd", "version")
    except CommandError:
        return False
    return True


def start() -> None:
    """Start Open vSwitch. CommandError where it does not start."""
    if Path(_INIT_SCRIPT).exists():
        run(_INIT_SCRIPT, "start")
    else:
        run(_CTL_SCRIPT, "start", "--system-id=random")
    if not is_running():
        raise CommandError("Open vSwitch does not start; see /var/log/openvswitch/")


def stop() -> None:
    """Stop Open vSwitch."""
    run(_INIT_SCRIPT if Path(_INIT_SCRIPT).exists() else _CTL_SCRIPT, "stop")


def ensure_running() -> None:
    """For an emulation that has its control network: start Open vSwitch unless it runs, and remember that."""
    if not is_running():
        _STARTED_BY_US.touch()
        start()


def stop_unless_used() -> None:
    """Stop what an emulation started, unless it has bridges: then somebody else needs it by now.

    An emulation that has no bridges yet needs it too: see :func:`topologies.emulator.cleanup.stop_open_vswitch`.
    """
    if _STARTED_BY_US.exists() and is_running() and not run("ovs-vsctl", "list-br").split():
        stop()
        _STARTED_BY_US.unlink(missing_ok=True)


def bridges_of(owner: str) -> list[str]:
    """Bridges that the emulation with this mark made."""
    found = run(
        "ovs-vsctl",
        "--bare",
        "--columns=name",
        "find",
        "Bridge",
        f"external_ids:{OWNER_KEY}={owner}",
    )
    return found.split()


def delete_bridges(names: list[str]) -> None:
    """In one transaction; those that are gone already do not matter."""
    command = ["ovs-vsctl"]
    for name in names:
        command += ["--", "--if-exists", "del-br", name]
    if names:
        run(*command)
