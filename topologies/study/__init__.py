"""A day or a year of a real network: what it loses and leaves unserved, as operated and with power routers.

``study`` is the whole of it; ``case`` holds the arrays, ``as_operated`` and ``with_routers`` the two answers for a
step, ``evaluation`` puts them together, ``workers`` spreads steps over processes, and ``records`` keeps what is done.
"""
