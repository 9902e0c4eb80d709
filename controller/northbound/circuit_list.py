"""Listing circuits, by pages or all at once, in the order of their ids.

A page token holds the last id that was given, so pages are stable: a circuit that is there all the while is listed
once, whatever comes and goes between them.
"""

import zlib
from bisect import bisect_right
from collections.abc import Iterator
from io import BytesIO
from itertools import islice

from controller.core.circuits.circuit import Circuit
from controller.core.errors import invalid
from controller.core.questions import Questions
from controller.northbound.codec import circuit_to_pb
from controller.northbound.turns import in_turns
from digitalgrid.reasons import Reason
from digitalgrid.v1 import northbound_pb2 as pb

# More are not given at once to whoever asks for pages.
MAX_PAGE = 1000


async def circuit_page(
    known: Questions, request: pb.ListCircuitsRequest
) -> pb.ListCircuitsResponse:
    """At most ``page_size`` circuits, and the token of the next page where there may be more."""
    if request.page_size < 0:
        message = f"page_size is {request.page_size}; it is 1 or more, or 0 for all"
        raise invalid("page_size", Reason.PAGE_SIZE_NEGATIVE, message)
    size = min(request.page_size or MAX_PAGE, MAX_PAGE)
    page = pb.ListCircuitsResponse()
    # One more than is given tells whether there is another page.
    async for circuits in in_turns(islice(_wanted(known, request), size + 1), circuit_to_pb):
        page.circuits.extend(circuits)
    if len(page.circuits) > size:
        del page.circuits[size:]
        page.next_page_token = _token(page.circuits[-1].circuit_id, request)
    return page


async def all_circuits(known: Questions, request: pb.ListCircuitsRequest) -> bytes:
    """All of them, for clients that know of no pages: the answer as bytes, made in turns."""
    # Grows with each turn: to join all parts at its end would be the longest turn of all.
    answer = BytesIO()
    async for circuits in in_turns(_wanted(known, request), circuit_to_pb):
        answer.write(pb.ListCircuitsResponse(circuits=circuits).SerializeToString())
    return answer.getvalue()


def _wanted(known: Questions, request: pb.ListCircuitsRequest) -> Iterator[Circuit]:
    """Each as it stands when it is taken; what has been forgotten by then is left out."""
    if request.request_id:
        of_request = known.circuits_of_request(request.request_id)
        ids = sorted(circuit.circuit_id for circuit in of_request)
    else:
        # Nearly in order already, since ids ascend.
        ids = sorted(known.circuits)
    after = _last_id(request) if request.page_token else 0
    for index in range(bisect_right(ids, after), len(ids)):
        circuit = known.circuits.get(ids[index])
        if circuit is not None and (request.include_ended or not circuit.state.ended):
            yield circuit


def _token(last_id: int, request: pb.ListCircuitsRequest) -> str:
    """Of one listing: it must go on as it began."""
    listing = f"{request.request_id} {request.include_ended}"
    return f"{last_id:x}.{zlib.crc32(listing.encode()):08x}"


def _last_id(request: pb.ListCircuitsRequest) -> int:
    text = request.page_token.partition(".")[0]
    try:
        last_id = int(text, 16)
    except ValueError:
        last_id = -1
    if last_id < 0 or _token(last_id, request) != request.page_token:
        raise invalid(
            "page_token",
            Reason.PAGE_TOKEN_UNKNOWN,
            "page_token is none that was given for this listing; repeat it as it was given, with the same"
            " request_id and include_ended, or begin without one",
        )
    return last_id
