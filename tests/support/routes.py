"""A route for tests that need none in particular."""

from controller.core.circuits.route import Route, RouteLink


def route(power_w: float, *, source_id: str = "pv", middle: str = "r2") -> Route:
    """pv - r1 - middle - r3 - town, with round figures."""
    links = (
        RouteLink(
            f"r1-{middle}", "r1", middle, power_w + 20, power_w + 10, power_w / 100, 1.0, 1e3
        ),
        RouteLink(f"{middle}-r3", middle, "r3", power_w + 10, power_w, power_w / 200, 1.0, 1e3),
    )
    routers = ("r1", middle, "r3")
    return Route(source_id, "town", routers, links, (power_w + 30,) * 3, power_w, (1.0,) * 3)
