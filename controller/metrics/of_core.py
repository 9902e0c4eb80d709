"""Metrics of what the core knows and does: circuits, the network, searches for routes, and what routers are told."""

from collections import Counter
from collections.abc import Iterator
from enum import Enum

import numpy as np

from controller.core.circuits.circuit import CircuitState
from controller.core.circuits.protection import Protection
from controller.core.network.admin import AdminState
from controller.core.network.link import LinkState
from controller.core.questions import Questions
from controller.metrics.reference import METRICS, PREFIX
from digitalgrid.metrics.families import Families, Family, one_label

# Asked of each circuit, and of each link: members of enumerations take longer to come by than all else.
_UNPROTECTED, _UP = Protection.NONE, LinkState.UP
# Shares of links that are told apart, by their upper ends.
_TENTHS = tuple(f"{tenth / 10:.1f}" for tenth in range(1, 11))
# Of what an operator has drained, and is away: nobody needs to be called for it. What is being drained may carry power.
_OFF = "off"
_FAMILIES = Families(PREFIX, METRICS)


def _none_of(words: type[Enum]) -> dict[str, float]:
    """A series for each word that there can be: one that is missing would be no answer."""
    return dict.fromkeys((each.value for each in words), 0)


def of_circuits(known: Questions) -> Iterator[Family]:
    """All that are remembered are looked at, once: to note each change instead would cost admissions more."""
    powers_w: dict[str, list[float]] = {each.value: [] for each in CircuitState}
    protected = _none_of(Protection)
    del protected[_UNPROTECTED.value]
    for circuit in known.circuits.values():
        powers_w[circuit.state._value_].append(circuit.power_w)
        word = circuit.guard.word
        if word is not _UNPROTECTED:
            protected[word.value] += 1
    states = {state: len(each) for state, each in powers_w.items()}
    yield _FAMILIES.of("circuits", one_label(states))
    power_w = {state: sum(each) for state, each in powers_w.items()}
    yield _FAMILIES.of("circuit_power_watts", one_label(power_w))
    yield _FAMILIES.of("circuits_protected", one_label(protected))


def of_network(known: Questions, now_ns: int) -> list[Family]:
    view = known.view
    fresh = known.fresh_router_ids(now_ns)
    away = view.routers.keys() - known.connected_router_ids()
    routers = {
        "known": len(view.routers),
        "connected": len(view.routers) - len(away),
        "stale": len(view.routers.keys() - fresh),
        _OFF: sum(view.routers[each].admin is AdminState.DRAINED for each in away),
    }
    not_up = [each for each in view.links.values() if each.state is not _UP]
    links = _none_of(LinkState) | {_OFF: 0}
    links[_UP.value] = len(view.links) - len(not_up)
    for link in not_up:
        links[_OFF if view.is_drained(link) else link.state.value] += 1
    drains = _none_of(AdminState) | Counter(each.state.value for each in known.drains.values())
    del drains[AdminState.IN_SERVICE.value]
    heard = {(worth.value,): count for worth, count in known.advertisements_heard.items()}
    return [
        _FAMILIES.of("routers", one_label(routers)),
        _FAMILIES.of("links", one_label(links)),
        _FAMILIES.of("drains", one_label(drains)),
        _FAMILIES.one("lsdb_version", known.lsdb_version),
        _FAMILIES.of("lsas_total", heard.items()),
    ]


def of_lead(known: Questions) -> Iterator[Family]:
    """What only whoever leads decides, and has in its hands."""
    decided = {
        (action.value, str(reason)): count for (action, reason), count in known.answered.items()
    }
    yield _FAMILIES.of("decisions_total", decided.items())
    searches = known.searches
    if searches is None:
        return
    blocked = {(bound.value,): count for bound, count in known.refused_by.items()}
    yield _FAMILIES.of("decisions_blocked_total", blocked.items())
    took_s = {search.value: each for search, each in searches.took_s.items()}
    looked_at = {search.value: each for search, each in searches.looked_at.items()}
    yield _FAMILIES.histogram("route_duration_seconds", one_label(took_s))
    yield _FAMILIES.histogram("route_settled_routers", one_label(looked_at))
    yield _FAMILIES.one("generations_in_flight", known.in_flight)
    yield _FAMILIES.one("generations_queued", known.queued)
    answered = {
        (operation.name, result.name): count
        for (operation, result), count in known.answers.answered.items()
    }
    yield _FAMILIES.of("transactions_total", answered.items())
    answers_s = {operation.name: each for operation, each in known.answers.took_s.items()}
    yield _FAMILIES.histogram("transaction_duration_seconds", one_label(answers_s))
    yield from _of_reserved(known)


def _of_reserved(known: Questions) -> Iterator[Family]:
    """In how far links and sources are taken."""
    shares = np.array(known.link_shares())
    tenths = np.clip(np.ceil(shares * 10) - 1, 0, 9).astype(np.intp)
    loaded = np.bincount(tenths, minlength=len(_TENTHS)).tolist()
    yield _FAMILIES.of("links_loaded", one_label(dict(zip(_TENTHS, loaded, strict=True))))
    yield _FAMILIES.one("link_utilisation_ratio", float(shares.max(initial=0.0)))
    given_w = sum(source.max_power_w for _, source in known.view.sources.values())
    reserved_w = sum(map(known.reserved_at_source_w, known.view.sources))
    powers_w = {"reserved": reserved_w, "free": max(0.0, given_w - reserved_w)}
    yield _FAMILIES.of("source_power_watts", one_label(powers_w))
