"""Restored backups: numbers jump ahead, so that none is given again that was given after the backup was made."""

import msgspec

from controller.core.circuits.records import Counters

# How far ids and audit numbers jump: more than an intense day gives (5,000 admissions a second), and still readable.
_STEP = 1_000_000_000
# How far epochs jump: more terms than a store has in years, and few enough for 40,000 restored copies of copies, since
# transaction ids have 32 bits for the epoch.
_EPOCHS = 100_000


def epoch_beyond_lost(epoch: int) -> int:
    """Transaction ids begin with the epoch, and routers remember how transactions ended."""
    return epoch + _EPOCHS


def beyond_lost(counters: Counters) -> Counters:
    """Routers still refuse circuits by numbers that were withdrawn since; audit entries are known to nobody else."""
    return msgspec.structs.replace(
        counters,
        next_circuit_id=counters.next_circuit_id + _STEP,
        next_admission_seq=counters.next_admission_seq + _STEP,
    )
