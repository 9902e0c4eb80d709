"""Any grid file, named by the topology's argument or by the environment variable ``DGC_GRID``.

mn --custom topologies/grid.py --topo grid,FILE --host dgr --switch dgs --controller dgc
"""

from topologies.emulator.topology_file import from_any_grid_file

topos, hosts, switches, controllers = from_any_grid_file("grid", "DGC_GRID")
