"""Routers in a ring: six, as in ``ring.grid.yaml``, or any number of them.

mn --custom topologies/ring.py --topo ring,12 --host dgr --switch dgs --controller dgc
"""

from topologies.emulator.topology_file import TopologyFile, bundled_grid
from topologies.generated import ring_grid

topos, hosts, switches, controllers = TopologyFile(
    "ring", lambda n=0: ring_grid(n) if n else bundled_grid("ring")
).exports()
