"""Rehearsals: what would become of circuits, by the code that would really decide it, on a copy."""
