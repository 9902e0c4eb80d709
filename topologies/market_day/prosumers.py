"""Prosumers and their day: what roofs give and households need by the hour, and what cars take and give back.

Pure. An interval of the market stands for an hour, so that a day of sun passes in two minutes; powers are those of the
hour, energy is what flows in the interval.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

# When the first interval begins, in hours.
_DAWN_H = 6.5
# From the first light to the last.
_DAYLIGHT_H = 14.0
# Clouds and visitors: how much an hour differs from the usual.
_CHANCE = 0.12

Habit = Callable[[float], float]


def _home(hour: float) -> float:
    return 0.3 + 0.25 * _bump(hour, 7.5, 1.2) + 0.7 * _bump(hour, 18.5, 2.2)


def _shop(hour: float) -> float:
    return 0.35 + 0.6 * _bump(hour, 13.0, 4.5)


def _workshop(hour: float) -> float:
    return 0.1 + 0.85 * (0.5 * _bump(hour, 10.0, 2.0) + 0.7 * _bump(hour, 14.5, 2.5))


def _bump(hour: float, at: float, width: float) -> float:
    return math.exp(-(((hour - at) / width) ** 2))


@dataclass(frozen=True, slots=True)
class Prosumer:
    """A party with one meter. ``roof_w`` is turned to the sun of the hour ``faces``; a car has ``plan_w`` instead, by
    hour: what it takes, or gives back where that is below 0.
    """

    party: str
    router: str
    source: str
    load: str
    roof_w: float = 0.0
    faces_h: float = 12.5
    needs_w: float = 0.0
    habit: Habit = _home
    plan_w: tuple[float, ...] = ()

    @property
    def is_car(self) -> bool:
        return bool(self.plan_w)

    @property
    def most_given_w(self) -> float:
        return self.roof_w or -min(self.plan_w)

    @property
    def most_taken_w(self) -> float:
        return self.needs_w or max(self.plan_w)

    def surplus_w(self, number: int, seed: int) -> float:
        """What is left in an interval (from 1 on) once its own needs are met; below 0, what it lacks."""
        if self.is_car:
            return -self.plan_w[(number - 1) % len(self.plan_w)]
        draw = random.Random(f"{seed} {self.party} {number}")
        hour = _DAWN_H + number
        height = math.cos(math.pi * (hour - self.faces_h) / _DAYLIGHT_H)
        given_w = self.roof_w * max(0.0, height) * draw.uniform(1.0 - _CHANCE, 1.0)
        taken_w = self.needs_w * self.habit(hour) * draw.uniform(1.0 - _CHANCE, 1.0)
        return given_w - min(taken_w, self.needs_w)


PROSUMERS = (
    # One charges at noon and gives back in the evening; the other gives what is left of the night, all that it can at
    # half past ten, and charges then. They tender before all others.
    Prosumer(
        "car1", "r9", "car1-out", "car1",
        plan_w=(-60e3, 0, 0, 0, 60e3, 100e3, 120e3, 100e3, 60e3, 0, -80e3, -100e3),
    ),
    Prosumer(
        "car2", "r5", "car2-out", "car2",
        plan_w=(-37e3, -37e3, 0, -37e3, 60e3, 100e3, 100e3, 120e3, 140e3, 140e3, 60e3, 0),
    ),
    Prosumer("ann", "r1", "roof1", "home1", 420e3, 10.5, 120e3),
    Prosumer("bob", "r2", "roof2", "home2", 360e3, 14.5, 110e3),
    Prosumer("carla", "r3", "roof3", "workshop3", 100e3, 12.5, 300e3, _workshop),
    Prosumer("dora", "r4", "roof4", "home4", 380e3, 12.0, 100e3),
    Prosumer("emil", "r5", "roof5", "market5", 80e3, 12.5, 320e3, _shop),
    Prosumer("finn", "r6", "roof6", "home6", 260e3, 13.0, 200e3),
    Prosumer("gerda", "r7", "roof7", "school7", 60e3, 12.0, 240e3, _workshop),
    Prosumer("hans", "r8", "roof8", "home8", 200e3, 11.0, 180e3),
)  # fmt: skip
