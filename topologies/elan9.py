"""The nine-router network of ``elan9.grid.yaml``.

mn --custom topologies/elan9.py --topo elan9 --host dgr --switch dgs --controller dgc
"""

from topologies.emulator.topology_file import from_grid_file

topos, hosts, switches, controllers = from_grid_file("elan9")
