"""The demonstration: a network with real faults, measured from the first request to the last millijoule."""
