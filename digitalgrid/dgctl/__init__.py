"""``dgctl``, the operator's client of the northbound API."""

from digitalgrid.dgctl.cli import main

__all__ = ["main"]
