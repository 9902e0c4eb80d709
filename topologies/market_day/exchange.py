"""An exchange of the day, ``dgm run``, as a process: its file, its keys, and how it is killed and held up."""

import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from digitalgrid.addresses import Address
from digitalgrid.units import NS_PER_S
from digitalgrid.yaml_text import to_yaml
from topologies.emulator.controller_process import ControllerProcess
from topologies.emulator.ports import free_ports
from topologies.market_day.prosumers import Prosumer
from trading.client.blocking import MarketClient
from trading.client.signing import Signer
from trading.ledger.key_files import read_key, write_new_key
from trading.ledger.keys import SigningKey

OPERATOR = "operator"
MECHANISMS = ("call", "nodal", "continuous")
INTERVAL_S = 10
# From a gate until power flows (s): an exchange that is killed while it holds circuits is back within half of it, also
# on a machine that is as busy again.
_GATE_S = 5.0
# How long a trade waits (s) for a controller that is away to hold its circuit, for money, and for meters: until its
# interval begins, and as long again.
_WAITS_S = 10.0
_READ_S, _DISPUTES_S = 20.0, 20.0
# A utility, what it pays for sun, and what it costs not to take what was bought (millionths per kWh).
_TARIFF = {
    "utility_micro_per_kwh": 300_000,
    "feed_in_micro_per_kwh": 80_000,
    "refusal_micro_per_kwh": 40_000,
}


def mechanism_of(start_ns: int) -> str:
    """The rule of the interval that begins then: mechanisms take turns by the number of intervals since 1970."""
    return MECHANISMS[start_ns // (INTERVAL_S * NS_PER_S) % len(MECHANISMS)]


@dataclass(frozen=True, slots=True)
class ExchangeFiles:
    root: Path

    @property
    def config(self) -> Path:
        return self.root / "market.yaml"

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def log(self) -> Path:
        return self.root / "dgm.log"

    @property
    def ledger(self) -> Path:
        return self.state / "ledger.sqlite"

    def key(self, party: str) -> Path:
        return self.root / "keys" / f"{party}.key"


class Exchange:
    """Of these prosumers; whatever state an exchange before left in ``root`` is taken up."""

    def __init__(
        self,
        root: Path,
        name: str,
        prosumers: Iterable[Prosumer],
        controller: str,
        gate_s: float = _GATE_S,
    ) -> None:
        self.files = ExchangeFiles(root)
        self._prosumers = {each.party: each for each in prosumers}
        (port,) = free_ports(1)
        self.server = f"127.0.0.1:{port}"
        self.files.key(OPERATOR).parent.mkdir(parents=True, exist_ok=True)
        config = self._config(name, controller, gate_s)
        self.files.config.write_text(to_yaml(config), encoding="utf-8")
        program = Path(sys.executable).with_name("dgm")
        command = [str(program), "run", "--config", str(self.files.config)]
        self._process = ControllerProcess(command, self.files.log, "the exchange")

    @property
    def is_running(self) -> bool:
        return self._process.process_id is not None

    def start(self) -> None:
        """Returns at once."""
        self._process.start()

    def wait_listening(self) -> None:
        """EmulationError where it ends, or takes too long."""
        address = Address.of(self.server)
        self._process.wait_listening(address.host, address.port)

    def kill(self) -> None:
        """With -9."""
        self._process.kill()

    def stop(self) -> None:
        self._process.stop()

    def client(self, party: str) -> MarketClient:
        """Of a party, which signs with its own key."""
        return MarketClient(self.server, signer=Signer(party, read_key(self.files.key(party))))

    @contextmanager
    def stalled_ledger(self) -> Iterator[None]:
        """Money cannot move: another program writes in the ledger's file all the while."""
        with closing(sqlite3.connect(self.files.ledger, isolation_level=None)) as ledger:
            ledger.execute("BEGIN IMMEDIATE")
            yield
            ledger.execute("ROLLBACK")

    def _config(self, name: str, controller: str, gate_s: float) -> dict[str, Any]:
        return {
            "market": {
                "name": name,
                "interval_s": INTERVAL_S,
                "gate_s": gate_s,
                "mechanisms": list(MECHANISMS),
            },
            "tariff": _TARIFF,
            "times": {
                "hold_s": _WAITS_S,
                "fund_s": _WAITS_S,
                "read_s": _READ_S,
                "dispute_s": _DISPUTES_S,
                "grace_s": 3.0,
            },
            "controller": [controller],
            "listen": self.server,
            "state_dir": str(self.files.state.absolute()),
            "log_format": "text",
            "operator": {
                "party": OPERATOR,
                "public_key": self._key(OPERATOR).public_key.hex(),
            },
            "parties": [self._party(each) for each in self._prosumers.values()],
        }

    def _party(self, prosumer: Prosumer) -> dict[str, Any]:
        meter = {
            "meter": prosumer.party,
            "router": prosumer.router,
            "source": prosumer.source,
            "load": prosumer.load,
            "max_injected_w": prosumer.most_given_w,
            "max_drawn_w": prosumer.most_taken_w,
        }
        public_key = self._key(prosumer.party).public_key.hex()
        return {"party": prosumer.party, "public_key": public_key, "meters": [meter]}

    def _key(self, party: str) -> SigningKey:
        path = self.files.key(party)
        return read_key(path) if path.exists() else write_new_key(path)
