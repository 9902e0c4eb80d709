"""HiGHS, the solver of linear programs, without its banner."""

import highspy


class SilentHighs(highspy.Highs):
    """HiGHS prints its banner as soon as callbacks are enabled; none are used."""

    def enableCallbacks(self) -> None:  # noqa: N802
        self.silent()
