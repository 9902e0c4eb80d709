"""Racers: many who ask at once for what there is once. Run as processes of their own, or as threads of a test.

``python -m tests.support.races '{"kind": "tenders", ...}'`` prints what became of it, as JSON.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import msgspec

from digitalgrid.client.errors import RequestRefused
from digitalgrid.market.v1 import market_pb2 as pb
from tests.support.ledgers import ledger, lock
from tests.support.market_daemon import KEYS
from tests.support.patience import PATIENCE_S
from tests.support.programs import DIES_WITH_PARENT
from trading.client.blocking import MarketClient
from trading.client.signing import Signer
from trading.ledger.ledger import Wanted
from trading.ledger.sqlite_storage import SqliteStorage
from trading.ledger.storage import Fenced
from trading.reasons import MarketReason

# Calls of one racer that are under way at once.
_THREADS = 4


class Tenders(msgspec.Struct, frozen=True, tag=True):
    """So many of a party at its meter, each in a call of its own."""

    name: str
    server: str
    party: str
    side: int
    count: int
    wh: int
    limit_micro_per_kwh: int
    start_unix_ns: int
    length_ns: int


class Withdrawals(msgspec.Struct, frozen=True, tag=True):
    """By the operator, of what another spends meanwhile."""

    name: str
    server: str
    account: str
    count: int
    nano: int


class Locks(msgspec.Struct, frozen=True, tag=True):
    """By a writer of a ledger's file, of which there are others: of a nano each, ten at a time."""

    name: str
    path: str
    account: str
    count: int


Race = Tenders | Withdrawals | Locks
# What became of it, by the reason of a refusal; "" is what was taken.
Ended = Counter[str]


def as_processes(races: Sequence[Race]) -> list[Callable[[], Ended]]:
    """All of them begin at once; each call waits for the end of one."""
    command = (*DIES_WITH_PARENT, sys.executable, "-m", __name__)
    begun = [
        subprocess.Popen((*command, msgspec.json.encode(each)), stdout=subprocess.PIPE)
        for each in races
    ]

    def ended(process: subprocess.Popen[bytes]) -> Ended:
        told, _ = process.communicate()
        assert process.returncode == 0
        return Counter(json.loads(told))

    return [lambda process=each: ended(process) for each in begun]  # type: ignore[misc]


def run(race: Race) -> Ended:
    match race:
        case Locks():
            return _locks(race)
        case Tenders():
            call, party = partial(_tender, race), race.party
        case Withdrawals():
            call, party = partial(_withdraw, race), "operator"
    signer = Signer(party, KEYS[party])
    with (
        MarketClient(race.server, signer=signer, timeout_s=PATIENCE_S) as client,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        return Counter(pool.map(lambda number: call(client, number), range(race.count)))


def _tender(race: Tenders, client: MarketClient, number: int) -> str:
    interval = pb.Interval(start_unix_ns=race.start_unix_ns, length_ns=race.length_ns)
    wanted = pb.Tender(
        order_id=f"{race.name} {number}",
        meter_id=race.party,
        side=race.side,  # type: ignore[arg-type]
        wh=race.wh,
        limit_micro_per_kwh=race.limit_micro_per_kwh,
        interval=interval,
    )
    while True:
        (result,) = client.create_tenders([wanted])
        # Another racer of the same party was heard first.
        if result.refusal.reason != MarketReason.STALE_NONCE:
            return result.refusal.reason


def _withdraw(race: Withdrawals, client: MarketClient, number: int) -> str:
    while True:
        try:
            client.withdraw(race.account, race.nano, f"{race.name} {number}")
        except RequestRefused as refused:
            # Another of the operator's words was heard first.
            if refused.reason == MarketReason.STALE_NONCE:
                continue
            return refused.reason
        return ""


def _locks(race: Locks) -> Ended:
    """Whoever finds that another has written begins anew on what that has left."""
    path, ended = Path(race.path), Ended()
    book = ledger(SqliteStorage(path))
    for at in range(0, race.count, 10):
        keys = [f"{race.name} {number}" for number in range(at, min(at + 10, race.count))]
        while True:
            try:
                done = book.write_many(
                    [Wanted(key, lock(key, **{race.account: 1})) for key in keys]
                )
                break
            except Fenced:
                book.close()
                book = ledger(SqliteStorage(path))
        ended.update(str(getattr(each, "reason", "")) for each in done)
    book.close()
    return ended


def locked(path: Path, account: str) -> int:
    """In all escrows of a ledger's file."""
    with closing(SqliteStorage(path)) as storage:
        return ledger(storage).locked(account)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(msgspec.json.decode(sys.argv[1], type=Race))))
