"""Many circuits at once: dispatch, and re-optimisation. Questions for the solver, and what becomes of its answers."""
