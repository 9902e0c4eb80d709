"""What `dgm run` needs of this machine, looked at without starting; nothing is changed, and nothing stays open."""

from collections.abc import Iterator
from pathlib import Path

from digitalgrid.bounds import InvalidValue
from digitalgrid.listening import listening_trouble
from digitalgrid.plugins.table import PluginError, find
from digitalgrid.writing import writing_trouble
from trading.exchange.config import ExchangeConfig
from trading.exchange.state import KEYS, StateMissing, missing_part
from trading.ledger.key_files import BadKeyFile, read_key
from trading.plugins import MECHANISMS


def problems(config: ExchangeConfig) -> Iterator[InvalidValue]:
    """Each names the key that it comes from."""
    for at, name in enumerate(config.market.mechanisms):
        try:
            find(MECHANISMS, name).load()
        except PluginError as error:
            yield InvalidValue("market", "mechanisms", at, message=f"is {name!r}: {error}")
    for path, address in config.listeners():
        trouble = listening_trouble(address)
        if trouble:
            yield InvalidValue(
                *path, message=f"is '{address}', which cannot be listened on: {trouble}"
            )
    yield from _state_troubles(Path(config.state_dir))


def _state_troubles(directory: Path) -> Iterator[InvalidValue]:
    try:
        missing = missing_part(directory)
        if missing:
            yield InvalidValue("state_dir", message=missing)
    except StateMissing as error:
        yield InvalidValue("state_dir", message=f"cannot be used: {error}")
    if trouble := writing_trouble(directory / KEYS[0]):
        yield InvalidValue("state_dir", message=f"cannot be used: {trouble}")
    for name in KEYS:
        path = directory / name
        try:
            if path.exists():
                read_key(path)
        except (BadKeyFile, OSError) as error:
            yield InvalidValue("state_dir", message=f"cannot be used: {error}")
