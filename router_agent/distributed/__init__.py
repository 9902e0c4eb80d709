"""Min-cost flow of power by agents that only talk to their neighbours, one agent per router.

The reference problem, which both algorithms solve exactly, is linear and lossless: integer amounts of power, an integer
cost per unit of each source and each line, capacities, and a demand per router. As much demand as possible is served,
and that at the least cost. Losses are not in it: who wants them linearises them, that is, adds to a line's cost per
unit the price of what the line loses per unit at its present load, and solves again (after a change, from the state
that stands).
"""
