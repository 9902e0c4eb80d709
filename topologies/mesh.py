"""A mesh of any number of routers with three or four power links each, made from a seed.

mn --custom topologies/mesh.py --topo mesh,20,1 --host dgr --switch dgs --controller dgc
"""

from topologies.emulator.topology_file import TopologyFile
from topologies.generated import mesh_grid

topos, hosts, switches, controllers = TopologyFile("mesh", mesh_grid).exports()
