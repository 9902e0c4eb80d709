"""Plans of whole grids, made without a daemon: a grid file in, a report out."""
