"""Conversion: a converter's efficiency as it is loaded now, and the most that it takes."""

from digitalgrid.profiles import DeviceProfile

# Steps of the bisection for what must enter: to a billionth of it.
_HALVINGS = 30


class Conversion:
    """``efficiency`` holds until the rates change. Without a curve it is the router's own, by which circuits are
    admitted; along a curve it is never less, so no circuit needs more than was reserved for it.
    """

    def __init__(self, efficiency: float, profile: DeviceProfile) -> None:
        self.efficiency = self._least = efficiency
        self._profile = profile

    @property
    def is_constant(self) -> bool:
        """Whatever passes through: what one circuit needs is none of the others' affair."""
        return self._profile.max_through_w is None and not self._profile.efficiency_curve

    @property
    def limit_w(self) -> float | None:
        """The most that may enter, for all circuits together; None where nothing limits it."""
        return self._profile.max_through_w

    def carry(self, leaving_w: float) -> None:
        """So much is to leave the converter from now on."""
        if not self._profile.efficiency_curve:
            return
        low_w, high_w = leaving_w, leaving_w / self._least
        for _ in range(_HALVINGS):
            middle_w = (low_w + high_w) / 2
            if middle_w * self._at(middle_w) < leaving_w:
                low_w = middle_w
            else:
                high_w = middle_w
        self.efficiency = self._at(high_w)

    def _at(self, entering_w: float) -> float:
        return max(self._least, self._profile.efficiency_at(entering_w, self._least))
