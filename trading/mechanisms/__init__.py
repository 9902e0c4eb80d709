"""Market mechanisms: who trades with whom, and at what price. Pure functions of orders, a network and a seed."""
