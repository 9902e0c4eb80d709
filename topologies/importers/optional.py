"""Libraries of the optional extra ``study``: imported when they are used, because they take seconds to import."""

import importlib
from typing import Any

from topologies.importers.errors import NetworkError


class MissingLibrary(NetworkError):
    """A library of the extra ``study`` is not installed."""

    exit_code = 1


def require(module: str) -> Any:
    """Imports a module of the extra ``study``. Raises MissingLibrary, which says how to install it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        library = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != library:
            raise
        raise MissingLibrary(
            f"{library} is not installed; run: pip install 'digitalgrid[study]'"
        ) from error
