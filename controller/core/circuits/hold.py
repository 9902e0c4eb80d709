"""Hold: a circuit that is reserved and carries nothing until its client activates it, or its time to live is over.

As an option on capacity it comes before whatever is paid for it. Its routers hear nothing of it meanwhile.
"""

from enum import StrEnum

import msgspec

# For how long one request may keep room from others, in ms: a day, the longest interval that is traded ahead.
MAX_TTL_MS = 86_400_000
HELD_REASON = "held: it carries nothing until it is activated"


class HoldWord(StrEnum):
    """What became of a hold."""

    HELD = "held"
    ACTIVATED = "activated"
    EXPIRED = "expired"


class HoldEvent(StrEnum):
    ACTIVATE = "activate"
    EXPIRE = "expire"


HOLDS: dict[tuple[HoldWord, HoldEvent], HoldWord] = {
    (HoldWord.HELD, HoldEvent.ACTIVATE): HoldWord.ACTIVATED,
    (HoldWord.HELD, HoldEvent.EXPIRE): HoldWord.EXPIRED,
}


class Hold(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Until when it is kept, and what became of it. One that was released before either stays held, and has ended."""

    until_unix_ns: int
    word: HoldWord = HoldWord.HELD

    def after(self, event: HoldEvent) -> "Hold":
        """An event that the table does not know is a bug, and raised."""
        following = HOLDS.get((self.word, event))
        if following is None:
            raise ValueError(
                f"{event.value!r} is not possible for a hold that is {self.word.value!r}"
            )
        return Hold(self.until_unix_ns, following)
