"""The ways to run a grid on this machine."""

from digitalgrid.gridfile import Grid
from topologies.emulator.emulation import Emulation
from topologies.emulator.errors import EmulationError
from topologies.emulator.network_file import MININET_IS_MISSING
from topologies.emulator.plan import EmulationOptions

BACKENDS = ("mininet", "local")


def make_emulation(grid: Grid, backend: str, options: EmulationOptions) -> Emulation:
    """An emulation that is ready to start.

    EmulationError where the backend is unknown, lacks what it needs, or is in use.
    """
    # Only the backend in use is imported: "local" runs without Mininet.
    if backend == "local":
        from topologies.emulator.local_backend import LocalEmulation

        return LocalEmulation(grid, options)
    if backend == "mininet":
        try:
            from topologies.emulator.mininet_backend import MininetEmulation
        except ModuleNotFoundError as error:
            if error.name is None or not error.name.startswith("mininet"):
                raise
            raise EmulationError(MININET_IS_MISSING) from error
        return MininetEmulation(grid, options)
    raise EmulationError(f"unknown backend {backend!r}; one of {', '.join(BACKENDS)}")
