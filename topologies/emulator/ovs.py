"""Open vSwitch: started where it does not run (there may be no systemd), and what of it is ours."""

from pathlib import Path

from topologies.emulator.errors import CommandError
from topologies.emulator.shell import run

# Written into each bridge that an emulation makes; names alone could be somebody else's.
OWNER_KEY, OWNER = "owner", "digitalgrid"

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


def ensure_running() -> bool:
    """Start Open vSwitch unless it runs; True where this call started it."""
    if is_running():
        return False
    if Path(_INIT_SCRIPT).exists():
        run(_INIT_SCRIPT, "start")
    else:
        run(_CTL_SCRIPT, "start", "--system-id=random")
    if not is_running():
        raise CommandError("Open vSwitch does not start; see /var/log/openvswitch/")
    return True


def stop_unless_used() -> None:
    """Stop Open vSwitch where it runs, unless it has bridges: then somebody else needs it by now."""
    if is_running() and not run("ovs-vsctl", "list-br").split():
        run(_INIT_SCRIPT if Path(_INIT_SCRIPT).exists() else _CTL_SCRIPT, "stop")


def our_bridges() -> list[str]:
    """Bridges that an emulation made."""
    found = run(
        "ovs-vsctl",
        "--bare",
        "--columns=name",
        "find",
        "Bridge",
        f"external_ids:{OWNER_KEY}={OWNER}",
    )
    return found.split()


def delete_bridges(names: list[str]) -> None:
    """In one transaction; those that are gone already do not matter."""
    command = ["ovs-vsctl"]
    for name in names:
        command += ["--", "--if-exists", "del-br", name]
    if names:
        run(*command)
