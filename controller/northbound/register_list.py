"""Listing final registers by pages, in the order of circuits and generations, from what is durable."""

import zlib

import msgspec

from controller.core.circuits.records import RegisterRecord
from controller.core.errors import invalid
from controller.northbound.codec import check_ids
from controller.runtime.runtime import Runtime
from controller.store.protocol import BEFORE_ALL, RegisterQuestion
from digitalgrid.limits import MAX_INT64
from digitalgrid.model import CircuitGeneration
from digitalgrid.reasons import Reason
from digitalgrid.v1 import northbound_pb2 as pb

# More are not given at once: half a megabyte, with the longest paths.
MAX_PAGE = 1000


async def register_page(
    runtime: Runtime, request: pb.ListRegistersRequest
) -> pb.ListRegistersResponse:
    """At most ``page_size`` registers, and the token of the next page where there may be more."""
    page = await runtime.stored.registers(_question(request))
    answer = pb.ListRegistersResponse(registers=map(_register_to_pb, page.records))
    if page.searched_to is not None:
        answer.next_page_token = _token(page.searched_to, request)
    return answer


def _question(request: pb.ListRegistersRequest) -> RegisterQuestion:
    if request.request_id:
        check_ids("request_id", [request.request_id])
    if request.page_size < 0:
        message = f"page_size is {request.page_size}; it is 1 or more, or 0 for {MAX_PAGE}"
        raise invalid("page_size", Reason.PAGE_SIZE_NEGATIVE, message)
    return RegisterQuestion(
        min(request.page_size or MAX_PAGE, MAX_PAGE),
        _last_key(request) if request.page_token else BEFORE_ALL,
        # No circuit has a higher number.
        min(request.circuit_id, MAX_INT64),
        request.request_id,
        request.since_unix_ns,
        request.until_unix_ns,
    )


def _register_to_pb(record: RegisterRecord) -> pb.FinalRegister:
    figures = msgspec.structs.asdict(record)
    links = [pb.LinkRegister(**msgspec.structs.asdict(each)) for each in figures.pop("links")]
    return pb.FinalRegister(**figures, links=links)


def _token(last: CircuitGeneration, request: pb.ListRegistersRequest) -> str:
    """Of one listing: it must go on as it began."""
    asked = (request.circuit_id, request.request_id, request.since_unix_ns, request.until_unix_ns)
    return f"{last.circuit_id:x}.{last.generation:x}.{zlib.crc32(repr(asked).encode()):08x}"


def _last_key(request: pb.ListRegistersRequest) -> CircuitGeneration:
    circuit_id, _, rest = request.page_token.partition(".")
    try:
        last = CircuitGeneration(int(circuit_id, 16), int(rest.partition(".")[0], 16))
    except ValueError:
        last = CircuitGeneration(-1, -1)
    known = min(last) >= 0 and max(last) < MAX_INT64
    if not known or _token(last, request) != request.page_token:
        raise invalid(
            "page_token",
            Reason.PAGE_TOKEN_UNKNOWN,
            "page_token is none that was given for this listing; repeat it as it was given, with all else as it was,"
            " or begin without one",
        )
    return last
