"""Whom the page's server answers: browsers that show its own page, and programs; no page of anybody else's.

A browser sends along where a request comes from; a stranger's page cannot change that. A name that is pointed at this
machine (DNS rebinding) makes a stranger's page look like ours, so on loopback only loopback's own names are ours.
Beyond loopback a token is asked for, as there are no identities yet.
"""

import secrets
from collections.abc import Iterable
from hmac import compare_digest
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from controller.web.token import kept_token
from digitalgrid.addresses import Address

_JSON = "application/json"


class Trust:
    """``token`` is empty where none is asked for, and outlives the daemon where there is a file for it. ``names`` are
    ours beside loopback's.
    """

    def __init__(
        self, listen: str, names: Iterable[str] = (), token_file: Path | None = None
    ) -> None:
        self._names = frozenset(each.lower() for each in names)
        self._on_loopback = Address.of(listen).is_loopback
        if self._on_loopback:
            self.token = ""
        else:
            self.token = kept_token(token_file) if token_file else secrets.token_urlsafe(18)

    def check_host(self, request: web.Request) -> None:
        """Of every request."""
        name = _hostname(request.host)
        if self._on_loopback and name not in self._names and not _is_loopback(name):
            raise web.HTTPForbidden(
                text=f"this page is at loopback, and is not called {request.host[:100]!r}; open it as"
                " http://localhost or http://127.0.0.1, with its port, or add the name to web.names\n"
            )

    def check_reader(self, request: web.Request) -> None:
        """Of what is read by the page alone."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise web.HTTPForbidden(
                text="only this page itself may read that; open it by its own address\n"
            )
        self._check_origin(request)
        self._check_token(request)

    def check_writer(self, request: web.Request) -> None:
        """Of what may change something."""
        self.check_reader(request)
        if request.content_type != _JSON:
            raise web.HTTPForbidden(text=f"send it as JSON, with 'Content-Type: {_JSON}'\n")

    def _check_origin(self, request: web.Request) -> None:
        origin = request.headers.get("Origin")
        # A page has the scheme, the host and the port of its own address, and nothing behind.
        if origin is not None and origin.partition("://")[2] != request.host:
            raise web.HTTPForbidden(
                text=f"a page of {origin[:100]!r} may not ask that; use the page of this address\n"
            )

    def _check_token(self, request: web.Request) -> None:
        if not self.token:
            return
        # A stream cannot be asked for with headers of one's own.
        said = request.headers.get("Authorization", "").removeprefix("Bearer ")
        said = said or request.query.get("token", "")
        # Bytes of a header that are no text are surrogates here, which cannot be encoded.
        if not compare_digest(said.encode(errors="replace"), self.token.encode()):
            raise web.HTTPUnauthorized(
                text="a token is needed: open the address that the daemon printed when it started\n"
            )


def _hostname(host: str) -> str:
    """Empty where it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_loopback(hostname: str) -> bool:
    try:
        return ip_address(hostname).is_loopback
    except ValueError:
        return hostname == "localhost" or hostname.endswith(".localhost")
