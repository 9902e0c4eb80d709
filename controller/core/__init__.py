"""The controller without I/O, threads or clocks: events go in, effects come out."""
