"""An order is told as it was tendered, to the last field."""

from digitalgrid.market.v1 import market_pb2 as pb
from trading.core.orders import Tender, order_of
from trading.core.units import Wh
from trading.exchange.services.codec import order_to_pb, tenders_from_pb
from trading.market.records import OrderRecord

_PLAIN = pb.Tender(
    order_id="o1",
    meter_id="m1",
    side=pb.SIDE_SELL,
    wh=700,
    limit_micro_per_kwh=-5,
    interval=pb.Interval(start_unix_ns=900, length_ns=90),
    time_in_force=pb.TIME_IN_FORCE_GTC,
)


def told(tender: pb.Tender) -> pb.Order:
    request = pb.CreateTendersRequest(
        tenders=[tender], mandate=pb.Mandate(party="ann", nonce=8, signature=b"s")
    )
    (read,) = tenders_from_pb(request)
    assert isinstance(read, Tender)
    return order_to_pb(OrderRecord(order_of(read, 3), Wh(500), Wh(200)))


def test_a_tender_comes_back_as_it_came() -> None:
    full = pb.Tender(
        time_in_force=pb.TIME_IN_FORCE_GTD,
        min_fill_wh=50,
        expires_unix_ns=800,
        max_loss_ppm=20_000,
        avoid_ids=["r2", "line7"],
        tags=["green"],
    )
    every = pb.Tender.FromString(_PLAIN.SerializeToString() + full.SerializeToString())
    said = {each.name for each, _ in every.ListFields()}
    assert said == set(pb.Tender.DESCRIPTOR.fields_by_name)
    for tender in (_PLAIN, every):
        assert told(tender).tender == tender


def test_what_is_left_and_matched_is_told_beside_it() -> None:
    order = told(_PLAIN)
    assert (order.seq, order.party, order.open_wh, order.matched_wh) == (3, "ann", 500, 200)
    assert not order.ended_reason
