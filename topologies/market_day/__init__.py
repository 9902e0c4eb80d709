"""A day on a market of prosumers, with faults: ``make market``."""
