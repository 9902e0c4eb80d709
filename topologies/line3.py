"""Three routers in a row, as in ``line3.grid.yaml``.

mn --custom topologies/line3.py --topo line3 --host dgr --switch dgs --controller dgc
"""

from topologies.emulator.topology_file import from_grid_file

topos, hosts, switches, controllers = from_grid_file("line3")
