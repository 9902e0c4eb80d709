"""Calls from the page: unary methods of the northbound API as JSON over POST, by the same handlers as gRPC's."""

import asyncio
import json
from functools import partial
from http import HTTPStatus
from typing import Any

from aiohttp import web
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.json_format import MessageToJson, Parse, ParseError
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2 as details
from google.rpc.code_pb2 import Code
from google.rpc.status_pb2 import Status

from controller.northbound.codec import MAX_IDS
from controller.northbound.guard import CallFailed
from controller.northbound.principals import NamedCaller
from controller.northbound.services import Services, unary_methods
from digitalgrid.http import body_of
from digitalgrid.v1 import northbound_pb2 as pb
from digitalgrid.v1.power_link_pb2 import Place

# Larger messages are read and written in a thread: 1 KB takes some 100 us.
_LARGE_BYTES = 8 * 1024
# As google.rpc's codes say of themselves.
_HTTP = {
    Code.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    Code.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    Code.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    Code.UNAUTHENTICATED: HTTPStatus.UNAUTHORIZED,
    Code.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.ABORTED: HTTPStatus.CONFLICT,
    Code.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    Code.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    Code.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    Code.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
}
# How the page is called among clients, in the audit log too.
_NAME = "page"


class Calls:
    def __init__(self, services: Services) -> None:
        self._services = services
        self._methods = {
            (each.containing_service.name, each.name): each for each in unary_methods()
        }

    async def answer(self, request: web.Request) -> web.Response:
        """POST ``/api/v1/call/<Service>/<Method>``."""
        method = self._methods.get((request.match_info["service"], request.match_info["method"]))
        if method is None:
            raise web.HTTPNotFound(text="no such call; it is /api/v1/call/<Service>/<Method>\n")
        body = await body_of(request)
        asked = await perhaps_in_thread(len(body), partial(message_of, method, body))
        try:
            answer = await self._services.call(method, asked, caller(request))
        except CallFailed as failed:
            return failure(failed.status)
        text = await perhaps_in_thread(answer.ByteSize(), partial(json_of, answer))
        return web.Response(text=text, content_type="application/json")

    async def place(self, request: web.Request) -> web.Response:
        """POST ``/api/v1/places`` with ``{"routers": {id: [x, y] or null}}``: as many as there are, some at a time."""
        try:
            routers = json.loads(await body_of(request))["routers"]
            places = [_place(router_id, at) for router_id, at in routers.items()]
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            message = 'say where routers are, as in {"routers": {"r1": [0, 1.5]}}\n'
            raise web.HTTPBadRequest(text=message) from None
        method = self._methods["OperationsService", "PlaceRouters"]
        for first in range(0, len(places), MAX_IDS):
            asked = pb.PlaceRoutersRequest(places=places[first : first + MAX_IDS])
            try:
                await self._services.call(method, asked, caller(request))
            except CallFailed as failed:
                return failure(failed.status)
        return web.json_response({})


def _place(router_id: str, at: Any) -> pb.RouterPlace:
    """ValueError, TypeError or OverflowError for what is no pair of numbers."""
    if at is None:
        return pb.RouterPlace(router_id=router_id)
    x, y = at
    return pb.RouterPlace(router_id=router_id, at=Place(x=x, y=y))


def caller(request: web.Request) -> NamedCaller:
    """Known by its connection, as gRPC's callers are."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return NamedCaller(_NAME, f"http:{peer[0]}:{peer[1]}" if peer else "http")


def failure(status: Status) -> web.Response:
    """Why a call was not answered, as JSON."""
    said: dict[str, Any] = {
        "code": Code.Name(status.code),
        "reason": "",
        "message": status.message,
        "field": "",
        "metadata": {},
    }
    info, bad = details.ErrorInfo(), details.BadRequest()
    for detail in status.details:
        if detail.Unpack(info):
            said |= {"reason": info.reason, "metadata": dict(info.metadata)}
        elif detail.Unpack(bad) and bad.field_violations:
            said["field"] = bad.field_violations[0].field
    http = _HTTP.get(status.code, HTTPStatus.INTERNAL_SERVER_ERROR)
    return web.json_response(said, status=http)


def message_of(method: MethodDescriptor, body: bytes) -> Message | DecodeError:
    """What was sent, or what is wrong with it, which the guard answers as it does gRPC's."""
    try:
        return Parse(body, GetMessageClass(method.input_type)())
    except (ParseError, UnicodeDecodeError) as error:
        return DecodeError(str(error)[:500])


def json_of(answer: Message) -> str:
    return MessageToJson(
        answer,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
        indent=None,
    )


async def perhaps_in_thread(size: int, work: "partial[Any]") -> Any:
    if size <= _LARGE_BYTES:
        return work()
    return await asyncio.get_running_loop().run_in_executor(None, work)
