"""Real networks as grid files: pandapower's own networks, its JSON files, and SimBench.

``specification`` finds a network by its name, ``pandapower_import`` turns it into a grid, ``profiles`` gives its
loads and sources over time. pandapower and SimBench are optional: ``pip install 'digitalgrid[study]'``.
"""
