"""A real ``dgm`` beside a controller: two parties on three routers in a row, of which one sells to the other."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from digitalgrid.client.errors import PowerError
from digitalgrid.market.v1 import market_pb2 as pb
from tests.support.exchanges import ANN, BOB, OPERATOR, market_file, public
from tests.support.patience import PATIENCE_S, wait_for
from tests.support.programs import DIES_WITH_PARENT
from topologies.emulator.ports import free_ports
from trading.client.blocking import MarketClient
from trading.client.signing import Signer
from trading.ledger.keys import SigningKey

_DGM = "from trading.cli import main; main()"
# Seconds: short enough for a test, and half of what lines and sources have is for the next interval.
INTERVAL_S = 3
KEYS = {"ann": ANN, "bob": BOB, "operator": OPERATOR}
# Of line3: 5 MW of source1 at r1, 2 MW of load3 at r3.
PARTIES = [
    {
        "party": "ann",
        "public_key": public(ANN),
        "meters": [{"meter": "ann", "router": "r3", "load": "load3", "max_drawn_w": 2e6}],
    },
    {
        "party": "bob",
        "public_key": public(BOB),
        "meters": [{"meter": "bob", "router": "r1", "source": "source1", "max_injected_w": 5e6}],
    },
]  # fmt: skip
_ENDED = {
    pb.TRANSACTION_STATE_SETTLED,
    pb.TRANSACTION_STATE_PARTIAL,
    pb.TRANSACTION_STATE_UNDELIVERED,
    pb.TRANSACTION_STATE_REJECTED,
    pb.TRANSACTION_STATE_EXPIRED,
    pb.TRANSACTION_STATE_CANCELLED,
}


class MarketDaemon:
    """Started and killed as often as a test likes, on one state directory. ``controller``: its address, or all those of
    a cluster, with commas.
    """

    def __init__(self, directory: Path, controller: str, server: str = "", **changes: Any) -> None:
        self.server = server or f"127.0.0.1:{free_ports(1)[0]}"
        self.state = directory / "market"
        self._file = directory / "market.yaml"
        content: dict[str, Any] = {
            "market": {"interval_s": INTERVAL_S, "gate_s": 2, "ahead": 2, "mechanisms": ["continuous"]},
            "times": {"hold_s": 30, "fund_s": 60, "read_s": 60, "dispute_s": 60, "lead_s": 1.5},
            "parties": PARTIES,
        }  # fmt: skip
        for key, value in changes.items():
            content[key] = {**content[key], **value} if isinstance(value, dict) else value
        self._file.write_text(
            market_file(
                listen=self.server,
                controller=controller.split(","),
                state_dir=str(self.state),
                **content,
            )
        )
        self._log = directory / "dgm.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, program: str = _DGM, environment: Mapping[str, str] | None = None) -> None:
        """Until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                (
                    *DIES_WITH_PARENT,
                    sys.executable,
                    "-c",
                    program,
                    "run",
                    "--config",
                    str(self._file),
                ),
                stderr=log,
                env=environment,
            )
        wait_for(self._answers)

    def kill(self) -> None:
        """As the kernel does, at any moment."""
        self._end(signal.SIGKILL)

    def run_another(self) -> int:
        """On the same file, beside it; its exit code."""
        with self._log.open("ab") as log:
            command = (*DIES_WITH_PARENT, sys.executable, "-c", _DGM, "run", "--config", self._file)
            return subprocess.run(command, stderr=log, check=False, timeout=60.0).returncode

    def wait_until_dead(self, within_s: float) -> None:
        """It kills itself."""
        assert self._process is not None
        self._process.wait(within_s)
        self._process = None

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        status = self._process.wait()
        self._process = None
        return status

    def close(self) -> None:
        if self._process is not None:
            self.kill()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def client(self, party: str, key: SigningKey | None = None) -> MarketClient:
        """As patient as the test: a clearer that loads its kernels on a busy machine takes longer than a user waits."""
        return MarketClient(
            self.server, signer=Signer(party, key or KEYS[party]), timeout_s=PATIENCE_S
        )

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, self.log
        try:
            with self.client("operator") as operator:
                operator.market()
        except PowerError:
            return False
        return True


@contextmanager
def market_daemon(
    directory: Path, controller: str, server: str = "", **changes: Any
) -> Iterator[MarketDaemon]:
    """Running, and with money on all accounts."""
    daemon = MarketDaemon(directory, controller, server, **changes)
    try:
        daemon.start()
        with daemon.client("operator") as operator:
            for party in KEYS:
                operator.deposit(party, 10**12, party)
        yield daemon
    finally:
        daemon.close()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else writes to a file of SQLite meanwhile."""
    db = sqlite3.connect(path, timeout=60.0, isolation_level=None)
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
    finally:
        db.close()


def tender(
    side: pb.Side.ValueType, meter: str, interval: pb.Interval, order_id: str = "o", wh: int = 500
) -> pb.Tender:
    """At a limit that the other side's reaches."""
    return pb.Tender(
        order_id=order_id,
        meter_id=meter,
        side=side,
        wh=wh,
        limit_micro_per_kwh=220_000 if side == pb.SIDE_BUY else 100_000,
        interval=interval,
    )


def has_ended(transaction: pb.Transaction) -> bool:
    return transaction.state in _ENDED
