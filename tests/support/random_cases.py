"""Random cases of the properties: the same in every run of the tests, and others by ``--hypothesis-profile=explore``.

A run that fails by chance stops whoever changed something else, so `make test` searches nowhere new; `make explore`
does. No test has a deadline of its own: a busy machine is slow, and what hangs is ended by pytest's `timeout`.
"""

from contextlib import AbstractContextManager
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

KEPT = "kept"
EXPLORE = "explore"
_share = 1.0


def have_share(share: float) -> None:
    """Of what it is asked for :func:`examples` gives this part from now on, where each case takes long."""
    global _share
    _share = share


def examples(count: int) -> int:
    """How many cases a property of the routing engine tries, of ``count``."""
    return max(1, round(count * _share))


def only_named_unless_explored() -> tuple[Phase, ...]:
    """Phases of a property of which each case takes seconds: `make test` tries those that it names and no others."""
    explores = settings.get_current_profile_name() == EXPLORE
    return tuple(Phase) if explores else (Phase.explicit,)


def register_profiles() -> None:
    """Properties say how many cases they have; all else of Hypothesis is said here. ``KEPT`` is in use from now on."""
    settings.register_profile(
        EXPLORE, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
    )
    settings.register_profile(KEPT, settings.get_profile(EXPLORE), derandomize=True, database=None)
    settings.load_profile(KEPT)


def without_figures_of_ours() -> AbstractContextManager[object]:
    """Makes the cases of a test independent of what else was run before it.

    Hypothesis also tries figures that it finds in the modules of ours that are imported by then: after other tests
    there are more of them, and a case that failed would not come up again where its test is run by itself.
    """
    none = Constants()
    return patch.object(providers, "_get_local_constants", lambda: none)
