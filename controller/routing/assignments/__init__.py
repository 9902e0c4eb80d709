"""Paths for many circuits or parts at once: re-optimisation of what stands, and requests that are split."""
