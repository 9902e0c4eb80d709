"""The form of what a log has: of all bytes that could say the same, those in which fields stand in their order, once,
and nothing else does. Whoever writes makes no other, and whoever verifies takes none.
"""

from google.protobuf.message import Message

# Of an entry: 64 postings between accounts of 256 characters are half of it.
MAX_ENTRY_BYTES = 1 << 18


def bare(message: Message) -> bytes:
    """All that it says by fields that are known here, in this form."""
    known = type(message)()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    return known.SerializeToString(deterministic=True)


def has_unknown(message: Message) -> bool:
    """Something that is none of its fields, at any depth."""
    return len(bare(message)) != message.ByteSize()
