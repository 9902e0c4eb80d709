"""Final meters: a router says of what it withdraws what it had metered, again and again, also after a restart."""

import struct

import pytest

from controller.southbound import codec as controller_codec
from digitalgrid.limits import MAX_INT64
from digitalgrid.model import CircuitGeneration, ElectionId, FinalMeter, Operation, ResultCode
from digitalgrid.v1.power_link_pb2 import CircuitMeter
from router_agent.codec import outcome_to_pb
from router_agent.device.meter_image import ImageCodec, unpack_image
from router_agent.device.meters import ENDED_KEPT, FINAL_KEPT, CircuitBooks, RouterBooks
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


def crashed(books: RouterBooks, floors: dict[int, int] | None = None) -> RouterBooks:
    """As they are found when the router is there again."""
    again = unpack_image(ImageCodec(books).pack())
    again.dissipate_buffers(floors)
    return again


def test_circuits_that_are_programmed_again_after_crashes_go_on_with_what_they_had_metered() -> (
    None
):
    books = RouterBooks()
    keys = [CircuitGeneration(number, 1) for number in range(3 * ENDED_KEPT)]
    for key in keys:
        books.begin_circuit(key).delivered_mj = 1000
    for _ in range(2):
        books = crashed(books)
        # Others end before all of these are programmed again, and the router crashes once more.
        for number in range(2 * ENDED_KEPT):
            ended(books, 1000 + number)
    for key in keys:
        books.begin_circuit(key).delivered_mj += 5
    assert {each.delivered_mj for each in books.final_meters(keys)} == {1005}


def test_a_generation_that_is_known_only_by_its_final_meter_goes_on_with_it() -> None:
    books = RouterBooks()
    keys = [ended(books, number) for number in range(1, 2 * ENDED_KEPT)]
    books.begin_circuit(keys[0]).injected_mj += 5
    assert books.final_meters(keys[:1]) == (FinalMeter(keys[0], 6, 0),)


def test_of_what_a_crash_ended_only_what_may_be_programmed_again_is_kept_for_that() -> None:
    books = RouterBooks()
    keys = [CircuitGeneration(number, 1) for number in range(4 * ENDED_KEPT)]
    for key in keys:
        books.begin_circuit(key).delivered_mj = 7
    withdrawn, standing = keys[: 2 * ENDED_KEPT], keys[2 * ENDED_KEPT :]
    books = crashed(books, {key.circuit_id: key.generation + 1 for key in withdrawn})
    assert list(books.circuits) == [*withdrawn[-ENDED_KEPT:], *standing]
    # A controller that withdraws the others too hears of them, and then they go the way of all that ends.
    books.end_interrupted(standing)
    assert list(books.circuits) == standing[-ENDED_KEPT:]
    assert {each.delivered_mj for each in books.final_meters(keys)} == {7}
    assert len(books.final_meters(keys)) == len(keys)


def test_what_an_earlier_release_did_not_count_is_unset_until_it_ends_and_never_a_part() -> None:
    counted = RouterBooks()
    counted.begin_circuit(KEY).injected_mj = 3
    image = ImageCodec(counted).pack()
    # Without the two counts of its line, and saying so.
    at = image.rindex(struct.pack("!QQ", *KEY)) + 5 * 8
    older = image[:6] + struct.pack("!H", 3) + image[8:at] + image[at + 2 * 8 :]
    books = unpack_image(older)
    books.dissipate_buffers()
    circuit = books.begin_circuit(KEY)
    circuit.injected_mj += 1
    circuit.sent_mj += 40
    circuit.line_loss_mj += 4
    books = crashed(books)
    assert books.final_meters([KEY]) == (FinalMeter(KEY, 4, 0, None, None),)
    assert books.capped().circuits[KEY].on_line_mj() == (None, None)
    assert CircuitBooks(sent_mj=40, line_loss_mj=4).on_line_mj() == (40, 4)


def test_of_what_was_never_here_nothing_is_said_and_a_full_meter_stays_at_the_largest() -> None:
    books = RouterBooks()
    books.begin_circuit(KEY).delivered_mj = MAX_INT64 + 5
    books.end_circuit(KEY)
    assert books.final_meters([CircuitGeneration(1, 1), KEY]) == (FinalMeter(KEY, 0, MAX_INT64),)


@pytest.mark.parametrize("on_line_mj", [(10, 11), (0, 0), (None, None)])
def test_they_come_to_the_controller_as_they_were_metered(
    on_line_mj: tuple[int | None, int | None],
) -> None:
    outcome = Outcome(
        *(Operation.WITHDRAW, 5, ResultCode.OK, "", ()),
        1,
        ElectionId(0, 1),
        ended=(FinalMeter(KEY, 8, 9, *on_line_mj),),
    )
    assert controller_codec.result_from_pb(outcome_to_pb(outcome)).ended == outcome.ended


def test_meters_that_run_backwards_are_refused() -> None:
    result = outcome_to_pb(
        Outcome(Operation.WITHDRAW, 5, ResultCode.OK, "", (), 1, ElectionId(0, 1))
    )
    result.ended.append(CircuitMeter(circuit_id=7, generation=3, delivered_mj=-1))
    with pytest.raises(ValueError, match="circuit 7 generation 3: a meter must be 0 or more"):
        controller_codec.result_from_pb(result)
