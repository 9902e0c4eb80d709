"""The stream in gzip: blocks that stand for themselves, so that one is made once for all who are told the same.

A stream of gzip may be put together of blocks that end with a full flush: none refers to what another reader has not
had. They are a tenth larger than they would be with a memory of what went before.
"""

import zlib
from functools import lru_cache

# What every stream begins with: deflate, no name, no time, unknown system.
BEGIN = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
# Rows are so much alike that more effort hardly makes them smaller: 6 KB of them take 70 us, once for all who are told
# them, and become 1.4 KB. The look that found them took a millisecond, and more.
_LEVEL = 3
# Blocks that are kept: those who are told the same are told it in one turn of the loop, or in two.
_KEPT = 8


@lru_cache(maxsize=_KEPT)
def packed(said: bytes) -> bytes:
    """One block. Whoever has read it has all that was said, at once."""
    block = zlib.compressobj(_LEVEL, wbits=-zlib.MAX_WBITS)
    return block.compress(said) + block.flush(zlib.Z_FULL_FLUSH)
