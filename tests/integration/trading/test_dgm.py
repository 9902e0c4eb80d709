"""A real exchange beside a real controller and real routers: a tender becomes a circuit, and meters become a bill."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from digitalgrid.client import PowerClient
from digitalgrid.market.v1 import market_pb2 as pb
from digitalgrid.v1 import northbound_pb2
from tests.support.market_daemon import (
    KEYS,
    MarketDaemon,
    has_ended,
    locked,
    market_daemon,
    tender,
)
from tests.support.networks import LINE3, network
from tests.support.patience import wait_for
from trading.client.blocking import MarketClient
from trading.core.units import MJ_PER_WH
from trading.ledger.sqlite_storage import SqliteStorage
from trading.ledger.verifying import verify

# On each account, in nanos.
MONEY = 10**12


@pytest.fixture(scope="module")
def controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with network(tmp_path_factory.mktemp("market") / "run", LINE3) as options:
        yield options.northbound


@pytest.fixture
def dgm(controller: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MarketDaemon]:
    """``ahead``: how many intervals are open; the trade is of the last."""
    with market_daemon(tmp_path, controller, market={"ahead": request.param}) as daemon:
        yield daemon


def agreed(dgm: MarketDaemon) -> pb.Transaction:
    """Of bob's sun, ann buys half a kWh in the last of the open intervals."""
    with dgm.client("bob") as bob, dgm.client("ann") as ann:
        interval = ann.market().intervals[-1].interval
        bob.create_tender(tender(pb.SIDE_SELL, "bob", interval))
        ann.create_tender(tender(pb.SIDE_BUY, "ann", interval))
        (transaction,) = ann.list_transactions()
        return transaction


def now(client: MarketClient, trade: pb.Transaction) -> pb.Transaction:
    return client.get_transaction(trade.trade_id)


def ended(dgm: MarketDaemon, trade: pb.Transaction) -> pb.Transaction:
    with dgm.client("ann") as ann:
        wait_for(lambda: has_ended(now(ann, trade)))
        return now(ann, trade)


def check_books(dgm: MarketDaemon, controller: str, trade: pb.Transaction) -> None:
    """The bill is what routers metered, to the mJ, and nobody's nano is lost; the log is right from its first entry."""
    with dgm.client("ann") as ann:
        bill = ann.get_settlement(trade.trade_id).settlement
        balances = {party: ann.balance(party) for party in KEYS}
    with PowerClient(controller) as power:
        registers = power.list_registers(request_id=trade.request_id)
        standing = power.list_circuits(trade.request_id).circuits
    assert not standing, "an orphan circuit"
    assert registers and all(each.HasField("delivered_mj") for each in registers)
    assert bill.delivered_mj == sum(each.delivered_mj for each in registers)
    assert bill.injected_mj == sum(each.injected_mj for each in registers)
    (energy,) = [each for each in bill.lines if each.kind == "energy"]
    assert energy.energy_mj == min(bill.delivered_mj, trade.wh * MJ_PER_WH)
    assert energy.nano == energy.energy_mj * trade.buyer_micro_per_kwh // MJ_PER_WH
    paid = dict.fromkeys(KEYS, 0)
    for line in bill.lines:
        paid[line.payer] -= line.nano
        paid[line.payee] += line.nano
    assert sum(paid.values()) == 0
    assert {each: balance.free_nano - MONEY for each, balance in balances.items()} == paid
    assert not any(balance.locked_nano for balance in balances.values()), "an orphan escrow"
    storage = SqliteStorage(dgm.state / "ledger.sqlite", must_exist=True)
    verify(storage.entries(), storage.head())
    storage.close()


@pytest.mark.parametrize("dgm", [2], indirect=True)
def test_a_trade_goes_from_its_tender_to_a_bill_that_is_what_the_sink_metered(
    dgm: MarketDaemon, controller: str
) -> None:
    trade = agreed(dgm)
    with dgm.client("ann") as ann, PowerClient(controller) as power:
        wait_for(lambda: now(ann, trade).state == pb.TRANSACTION_STATE_CONFIRMED)
        (circuit,) = power.list_circuits(trade.request_id).circuits
        assert circuit.hold.state == northbound_pb2.HOLD_STATE_HELD
        confirmed = now(ann, trade)
        # At 100,000, of 500 Wh; and the seller's deposit makes up for the utility's price.
        assert confirmed.locked.buyer_nano >= 500 * confirmed.buyer_micro_per_kwh
        assert ann.balance("ann").locked_nano == confirmed.locked.buyer_nano
    trade = ended(dgm, trade)
    assert trade.state == pb.TRANSACTION_STATE_SETTLED, trade
    check_books(dgm, controller, trade)
    assert dgm.stop() == 0


@pytest.mark.parametrize("dgm", [1], indirect=True)
def test_a_second_one_on_the_same_state_ends_and_the_first_goes_on(dgm: MarketDaemon) -> None:
    assert dgm.run_another() == 1
    assert "another exchange runs on this state_dir" in dgm.log
    with dgm.client("operator") as operator:
        # It commits, too.
        operator.deposit("ann", 1, "after the second")


@pytest.mark.parametrize("dgm", [2], indirect=True)
def test_a_circuit_ends_with_its_interval_though_the_exchange_never_comes_back(
    dgm: MarketDaemon, controller: str
) -> None:
    """It is settled all the same, by what routers had counted, once the exchange is there again."""
    trade = agreed(dgm)
    with dgm.client("ann") as ann:
        wait_for(lambda: now(ann, trade).delivery == "active")
    dgm.kill()
    with PowerClient(controller) as power:
        (circuit,) = power.list_circuits(trade.request_id, include_ended=True).circuits
        assert circuit.admin_up
        wait_for(lambda: not power.list_circuits(trade.request_id).circuits)
        ended_circuit = power.get_circuit(circuit.circuit_id)
        assert ended_circuit.reason == "its time is over"
        # It was not cut short: the exchange's clock may be behind.
        interval = trade.interval
        assert ended_circuit.until_unix_ns >= interval.start_unix_ns + interval.length_ns
    dgm.start()
    trade = ended(dgm, trade)
    assert trade.state == pb.TRANSACTION_STATE_SETTLED, trade
    check_books(dgm, controller, trade)


# There is time for a slow machine to start the daemon again before the interval begins.
@pytest.mark.parametrize("dgm", [4], indirect=True)
def test_killed_where_it_hurts_it_goes_on_where_it_was(dgm: MarketDaemon, controller: str) -> None:
    """Once with a circuit held and no money locked; then with power delivered, and no money paid."""
    with locked(dgm.state / "ledger.sqlite"):
        trade = agreed(dgm)
        with dgm.client("ann") as ann:
            wait_for(lambda: now(ann, trade).state == pb.TRANSACTION_STATE_HELD)
        dgm.kill()
    dgm.start()
    with dgm.client("ann") as ann:
        wait_for(lambda: now(ann, trade).state == pb.TRANSACTION_STATE_DELIVERING)
        with locked(dgm.state / "ledger.sqlite"):
            wait_for(lambda: now(ann, trade).state == pb.TRANSACTION_STATE_SETTLING)
            dgm.kill()
    dgm.start()
    trade = ended(dgm, trade)
    assert trade.state in (pb.TRANSACTION_STATE_SETTLED, pb.TRANSACTION_STATE_PARTIAL), trade
    check_books(dgm, controller, trade)
