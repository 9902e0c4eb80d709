"""What the engine promises: how many times faster than a peer it is at least, in one run on one machine."""

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
