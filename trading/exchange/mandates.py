"""Mandates: of a signed request, the party that it comes from, or that nobody is known to have sent it."""

from collections.abc import Mapping

from trading.ledger.mandates import Mandated, is_mandated
from trading.reasons import MarketReason, Refused


class Mandates:
    """``public_keys`` by party, the operator's among them."""

    def __init__(self, public_keys: Mapping[str, bytes], operator: str, log_id: bytes) -> None:
        self._public_keys = public_keys
        self.operator = operator
        self.log_id = log_id

    def party_of(self, method: str, request: Mandated) -> str:
        """Raises Refused: what nobody signed changes nothing, and who there is, is not told."""
        party = request.mandate.party
        public_key = self._public_keys.get(party, b"")
        if not is_mandated(method, request, public_key, self.log_id):
            raise Refused(
                MarketReason.BAD_SIGNATURE,
                f"{method} is not signed with the key of party {party!r} at this market",
                "mandate.signature",
            )
        return party

    def check_operator(self, method: str, request: Mandated) -> None:
        """Of what only whoever runs the market may do."""
        if self.party_of(method, request) != self.operator:
            raise Refused(
                MarketReason.BAD_SIGNATURE,
                f"{method} is for the operator, {self.operator}, to sign",
                "mandate.party",
            )
