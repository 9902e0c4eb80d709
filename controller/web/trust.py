"""Whom the page's server answers: browsers that show its own page, and programs; no page of anybody else's.

A browser sends along where a request comes from; a stranger's page cannot change that. By which names the server may be
called is :mod:`digitalgrid.http`'s matter. Beyond loopback a token is asked for, as there are no identities yet.
"""

import secrets
from hmac import compare_digest
from pathlib import Path

from aiohttp import web

from controller.web.token import kept_token
from digitalgrid.addresses import Address

_JSON = "application/json"


class Trust:
    """``token`` is empty where none is asked for, and outlives the daemon where there is a file for it."""

    def __init__(self, listen: str, token_file: Path | None = None) -> None:
        if Address.of(listen).is_loopback:
            self.token = ""
        else:
            self.token = kept_token(token_file) if token_file else secrets.token_urlsafe(18)

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
