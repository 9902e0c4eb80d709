"""Access control: who asks (a principal), for what (an action), and the one table of which roles may do which.

Nobody proves who he is yet, so the edge gives everybody the role ``anyone``, which may do all. Whoever brings
identities in changes only what the edge gives, and this table.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from controller.core.errors import Refusal
from digitalgrid.reasons import Reason


class Role(StrEnum):
    """What a principal is to the grid."""

    ANYONE = "anyone"  # whoever reaches the northbound port
    VIEWER = "viewer"
    TRADER = "trader"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Action(StrEnum):
    """What clients do, in the words of the audit log."""

    READ = "read"
    COMPUTE = "compute"
    REQUEST = "request"
    CHANGE = "change"
    RELEASE = "release"
    ACTIVATE = "activate"
    DISPATCH = "dispatch"
    REOPTIMISE = "reoptimise"
    RECONCILE = "reconcile"
    FORGET_ROUTER = "forget-router"
    DRAIN = "drain"
    UNDRAIN = "undrain"
    AUDIT = "audit"
    READ_REGISTERS = "read-registers"
    PLACE = "place"


MAY: dict[Action, frozenset[Role]] = {
    Action.READ: frozenset({Role.ANYONE, Role.VIEWER, Role.TRADER, Role.OPERATOR, Role.ADMIN}),
    Action.COMPUTE: frozenset({Role.ANYONE, Role.TRADER, Role.OPERATOR}),
    Action.REQUEST: frozenset({Role.ANYONE, Role.TRADER, Role.OPERATOR}),
    Action.CHANGE: frozenset({Role.ANYONE, Role.TRADER, Role.OPERATOR}),
    Action.RELEASE: frozenset({Role.ANYONE, Role.TRADER, Role.OPERATOR}),
    Action.ACTIVATE: frozenset({Role.ANYONE, Role.TRADER, Role.OPERATOR}),
    Action.DISPATCH: frozenset({Role.ANYONE, Role.OPERATOR}),
    Action.REOPTIMISE: frozenset({Role.ANYONE, Role.OPERATOR}),
    Action.RECONCILE: frozenset({Role.ANYONE, Role.OPERATOR}),
    Action.FORGET_ROUTER: frozenset({Role.ANYONE, Role.ADMIN}),
    Action.DRAIN: frozenset({Role.ANYONE, Role.OPERATOR}),
    Action.UNDRAIN: frozenset({Role.ANYONE, Role.OPERATOR}),
    Action.AUDIT: frozenset({Role.ANYONE, Role.OPERATOR, Role.AUDITOR, Role.ADMIN}),
    Action.PLACE: frozenset({Role.ANYONE, Role.OPERATOR}),
    # What bills are made of.
    Action.READ_REGISTERS: frozenset(
        {Role.ANYONE, Role.VIEWER, Role.TRADER, Role.OPERATOR, Role.AUDITOR, Role.ADMIN}
    ),
}
# They decide nothing that lasts, and leave no entry in the audit log.
_LOOKS = frozenset({Action.READ, Action.COMPUTE, Action.AUDIT, Action.READ_REGISTERS})


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. ``proven``: something but his own word says that he is who he is."""

    name: str
    address: str = ""
    roles: frozenset[Role] = frozenset({Role.ANYONE})
    proven: bool = False

    def __str__(self) -> str:
        if self.name and self.address:
            return f"{self.name} ({self.address})"
        return self.name or self.address


# Decides without being asked.
CONTROLLER = Principal("controller", roles=frozenset({Role.OPERATOR}), proven=True)


@dataclass(frozen=True, slots=True)
class Call:
    """A principal's call. ``subject`` is the id of a request, circuit or router, ``asked`` what is wanted of it.

    A ``rehearsal`` is decided as if it were meant, changes nothing, and leaves no entry in the audit log. A ``step``
    is judged, and noted with the end of its call. ``trace`` is for those at the edges who trace it.
    """

    principal: Principal
    action: Action
    subject: str = ""
    asked: str = ""
    rehearsal: bool = False
    step: bool = False
    trace: object = field(default=None, compare=False, repr=False)

    @property
    def is_audited(self) -> bool:
        """What the controller does by itself is noted circuit by circuit."""
        looks = self.rehearsal or self.action in _LOOKS
        return not looks and self.principal is not CONTROLLER

    def one_step(self) -> "Call":
        return replace(self, step=True)


def judge(principal: Principal, action: Action) -> None:
    """Refusal where none of the principal's roles may do that."""
    allowed = MAY[action]
    if allowed.isdisjoint(principal.roles):
        raise Refusal(
            Reason.NOT_ALLOWED,
            f"{principal.name or principal.address!r} may not {action}: that takes the role"
            f" {' or '.join(sorted(allowed))}",
            metadata={"action": action},
        )
