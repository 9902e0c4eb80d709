"""Ids of grid files from whatever names a network has."""

import re
import unicodedata

from digitalgrid.bounds import ID_PATTERN

# Longer names are cut: an id stands in tables and on the map.
_MAX_CHARACTERS = 64
# German network data abounds in these; all other letters lose their accents only.
_TRANSLITERATED = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss"}
)


class Identifiers:
    """Gives out ids that fit the pattern of grid files, each once; in the order asked for, so repeatable."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def unique(self, name: object, otherwise: str) -> str:
        """An id like ``name``, or like ``otherwise`` where the name is absent, a bare number, or leaves nothing."""
        wanted = _legal(name) if isinstance(name, str) else ""
        if not wanted or wanted.replace(".", "").isdigit():
            wanted = _legal(otherwise)
        candidate, number = wanted, 1
        while candidate in self._taken:
            number += 1
            suffix = f".{number}"
            candidate = wanted[: _MAX_CHARACTERS - len(suffix)] + suffix
        self._taken.add(candidate)
        return candidate


def _legal(name: str) -> str:
    """The name with each run of forbidden characters as one underscore; empty where nothing is left."""
    plain = unicodedata.normalize("NFKD", name.translate(_TRANSLITERATED))
    ascii_only = plain.encode("ascii", "ignore").decode("ascii")
    joined = re.sub(r"[^A-Za-z0-9_.-]+", "_", ascii_only)
    legal = joined.lstrip("_.-").rstrip("_")[:_MAX_CHARACTERS]
    return legal if re.fullmatch(ID_PATTERN, legal) else ""
