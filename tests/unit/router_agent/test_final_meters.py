"""Final meters: a router says of what it withdraws what it had metered, again and again, also after a restart."""

import pytest

from controller.southbound import codec as controller_codec
from digitalgrid.limits import MAX_INT64
from digitalgrid.model import CircuitGeneration, ElectionId, FinalMeter, Operation, ResultCode
from digitalgrid.v1.power_link_pb2 import CircuitMeter
from router_agent.codec import outcome_to_pb
from router_agent.device.meter_image import ImageCodec, unpack_image
from router_agent.device.meters import ENDED_KEPT, FINAL_KEPT, RouterBooks
from router_agent.device.mutation import Outcome

KEY = CircuitGeneration(7, 3)


def ended(books: RouterBooks, generation: int) -> CircuitGeneration:
    key = CircuitGeneration(1, generation)
    books.begin_circuit(key).injected_mj = generation
    books.end_circuit(key)
    return key


def test_as_many_are_remembered_as_another_controller_may_ask_for_again() -> None:
    books = RouterBooks()
    keys = [ended(books, number) for number in range(1, ENDED_KEPT + FINAL_KEPT + 11)]
    assert books.final_meters(keys[:11]) == (FinalMeter(keys[10], 11, 0),)
    assert len(books.final_meters(keys)) == ENDED_KEPT + FINAL_KEPT
    assert len(books.circuits) == ENDED_KEPT


def test_a_restart_forgets_only_those_whose_meters_can_no_longer_be_read() -> None:
    books = RouterBooks()
    keys = [ended(books, number) for number in range(1, ENDED_KEPT + 11)]
    again = unpack_image(ImageCodec(books).pack())
    again.dissipate_buffers()
    assert again.final_meters(keys) == books.final_meters(keys[10:])


def test_of_what_was_never_here_nothing_is_said_and_a_full_meter_stays_at_the_largest() -> None:
    books = RouterBooks()
    books.begin_circuit(KEY).delivered_mj = MAX_INT64 + 5
    books.end_circuit(KEY)
    assert books.final_meters([CircuitGeneration(1, 1), KEY]) == (FinalMeter(KEY, 0, MAX_INT64),)


def test_they_come_to_the_controller_as_they_were_metered() -> None:
    outcome = Outcome(
        *(Operation.WITHDRAW, 5, ResultCode.OK, "", ()),
        1,
        ElectionId(0, 1),
        ended=(FinalMeter(KEY, 8, 9, 10, 11),),
    )
    assert controller_codec.result_from_pb(outcome_to_pb(outcome)).ended == outcome.ended


def test_meters_that_run_backwards_are_refused() -> None:
    result = outcome_to_pb(
        Outcome(Operation.WITHDRAW, 5, ResultCode.OK, "", (), 1, ElectionId(0, 1))
    )
    result.ended.append(CircuitMeter(circuit_id=7, generation=3, delivered_mj=-1))
    with pytest.raises(ValueError, match="circuit 7 generation 3: a meter must be 0 or more"):
        controller_codec.result_from_pb(result)
