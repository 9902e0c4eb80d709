"""Pure: units, orders, positions, settlement, and the course of a trade. No I/O, threads or clocks."""
