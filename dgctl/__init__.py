"""``dgctl``, the operator's client of the northbound API."""

from dgctl.cli import main

__all__ = ["main"]
