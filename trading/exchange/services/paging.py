"""Pages of listings (AIP-158): how many at a time, and tokens, which are where the last page ended."""

from trading.reasons import MarketReason, Refused

# Where nobody says how many, and at most: of the longest, gRPC's 4 MiB hold no more.
_USUAL, _MOST = 100, 1_000
_MAX_INT64 = 2**63 - 1


def page_size(asked: int) -> int:
    """Raises Refused."""
    if asked < 0:
        raise Refused(MarketReason.PAGE_UNKNOWN, f"page_size is {asked}", "page_size")
    return min(asked, _MOST) or _USUAL


def token_of(*place: int) -> str:
    return ".".join(map(str, place))


def place_of(token: str, length: int) -> tuple[int, ...] | None:
    """None of the first page. Raises Refused."""
    if not token:
        return None
    parts = token.split(".")
    is_ours = len(parts) == length and all(
        part.isascii() and part.isdigit() and len(part) < 20 and int(part) <= _MAX_INT64
        for part in parts
    )
    if not is_ours:
        raise Refused(MarketReason.PAGE_UNKNOWN, "page_token is none of this list", "page_token")
    return tuple(map(int, parts))
