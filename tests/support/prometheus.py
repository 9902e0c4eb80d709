"""A Prometheus of a test's own, on loopback, which reads controllers and routers, and judges the shipped alerts."""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.support.patience import PATIENCE_S
from tests.support.programs import DIES_WITH_PARENT, require_program
from topologies.emulator.ports import free_ports

_EACH_S = 0.2


class Prometheus:
    """Answers in the thread that asks; a test's loop asks in another."""

    def __init__(self, port: int, targets: Path) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1/query?"
        self._targets = targets

    def read(self, *targets: str, routers: Sequence[str] = ()) -> None:
        """These controllers (host:port) from now on, and routers."""
        groups = [
            {"targets": each, "labels": {"job": job}}
            for job, each in (("dgc", targets), ("dgr", routers))
        ]
        told = self._targets.with_suffix(".new")
        told.write_text(json.dumps(groups))
        told.replace(self._targets)

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series that a query has at this moment."""
        url = self._url + urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return list(json.load(answer)["data"]["result"])

    def wait_for(self, expression: str) -> list[dict[str, Any]]:
        """As soon as there are any."""
        until_s = time.monotonic() + PATIENCE_S
        while not (found := self.ask(expression)):
            if time.monotonic() > until_s:
                raise TimeoutError(f"no answer to {expression}")
            time.sleep(_EACH_S)
        return found

    def wait_until_it_serves(self) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.ask("vector(1)")
            except OSError:
                if time.monotonic() > until_s:
                    raise
                time.sleep(_EACH_S)
            else:
                return


@contextmanager
def prometheus(directory: Path, target: str, alerts: Path) -> Iterator[Prometheus]:
    """Reads ``target`` (host:port) five times a second; alerts fire at once, without the time that they wait for."""
    program = require_program("prometheus", "prometheus")
    (port,) = free_ports(1)
    targets = directory / "targets.json"
    config = _config(directory, targets, alerts)
    server = Prometheus(port, targets)
    server.read(target)
    with (directory / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(*DIES_WITH_PARENT, program),
                f"--config.file={config}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        try:
            server.wait_until_it_serves()
            yield server
        finally:
            process.terminate()
            process.wait()


def _config(directory: Path, targets: Path, alerts: Path) -> Path:
    rules = yaml.safe_load(alerts.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    (directory / "alerts.yaml").write_text(yaml.safe_dump(rules))
    interval = f"{round(_EACH_S * 1000)}ms"
    config = {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": ["alerts.yaml"],
        "scrape_configs": [{"job_name": "dgc", "file_sd_configs": [{"files": [str(targets)]}]}],
    }
    path = directory / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config))
    return path
