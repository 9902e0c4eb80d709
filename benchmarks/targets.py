"""What is promised: ratios to peers at least, times at most, and rates at least."""

# (benchmark, size, peer) -> ratio
TARGETS = {
    ("cspf-admit", 10_000, "networkx"): 100,
    ("cspf-admit", 10_000, "rustworkx"): 25,
    ("cspf-admit", 10_000, "scipy"): 6,
    ("cspf-admit", 100_000, "networkx"): 100,
    ("cspf-admit", 100_000, "scipy"): 8,
    ("disjoint-pair", 10_000, "networkx"): 800,
    ("disjoint-pair", 10_000, "ortools"): 15,
    ("linear-flow", 1_000, "networkx"): 30,
    ("linear-flow", 1_000, "ortools"): 5,
    ("linear-flow", 10_000, "networkx"): 30,
    ("linear-flow", 10_000, "ortools"): 5,
    ("lossy-dispatch", 1_000, "clarabel"): 2.5,
    ("lossy-dispatch", 1_000, "pypsa"): 20,
    ("reoptimise", 1_000, "edge-flow-lp"): 50,
}

# (benchmark, size, figure in the row) -> at most, in seconds
MOST_S = {
    ("core-load", 1_000, "ours_s"): 2.0,
    ("durable-admit-one", 9, "alone_mean_s"): 2e-3,
    ("durable-admit-one", 1_000, "alone_mean_s"): 2e-3,
    ("reroute-2000", 1_000, "first_s"): 0.05,
    ("reroute-2000", 1_000, "ours_s"): 3.0,
}

# (benchmark, size) -> ``ours_per_s`` at least
LEAST_PER_S = {
    ("durable-admit-batch", 9): 5_000,
    ("durable-admit-batch", 1_000): 5_000,
    ("durable-admit-one", 9): 1_500,
    ("durable-admit-one", 1_000): 1_500,
}
