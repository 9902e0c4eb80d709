"""Money and meters in the log of a market: receipts, copies that are checked and compared, keys, meters that move."""

import json
from pathlib import Path

from digitalgrid.market.v1 import ledger_pb2
from digitalgrid.market.v1 import ledger_service_pb2 as ledger_pb
from digitalgrid.market.v1 import meter_service_pb2 as meter_pb
from tests.integration.dgctl.market.conftest import Run, asked, squeezed
from tests.support import meters
from tests.support.fake_market import FakeMarket
from tests.support.log_files import copy
from trading.client import departure_text, read_departure
from trading.client.checking import write_copy
from trading.ledger.key_files import write_new_key


def test_a_copy_of_the_log_is_not_written_over_a_key(dgctl: Run, key_file: Path) -> None:
    secret = key_file.read_bytes()
    said = dgctl("log", str(key_file))
    assert said.exit_code == 2 and "is there already; name a new file" in said.output
    assert key_file.read_bytes() == secret


def test_a_receipt_is_proved_here_and_one_that_proves_nothing_is_refused(
    dgctl: Run, market: FakeMarket
) -> None:
    assert "proved here" in squeezed(dgctl("receipt", "t1"))
    whole = json.loads(dgctl("receipt", "t1", "-o", "json").stdout)
    assert len(whole["entries"]) == 3
    market.answers["GetReceipt"].receipt.salt = b"another"
    said = dgctl("receipt", "t1")
    assert said.exit_code != 0 and "proved" not in said.stdout


def test_a_log_is_taken_away_checked_and_witnessed(
    dgctl: Run, tmp_path: Path, key_file: Path
) -> None:
    away, seen = str(tmp_path / "log.copy"), str(tmp_path / "seen.json")
    assert dgctl("log", away).exit_code == 0
    assert "7 entries of the log" in dgctl("witness", seen, "--key", str(key_file)).stdout
    checked = json.loads(dgctl("verify", away, "--witnessed", seen, "-o", "json").stdout)
    assert (checked["right"], checked["size"], checked["witnessed"]) == (True, 7, 7)
    other = json.loads(
        dgctl("verify", str(copy(tmp_path / "other")), "--witnessed", seen, "-o", "json").stdout
    )
    assert (other["right"], other["entry"]) == (False, None)
    assert "another log" in other["why"]


def test_an_entry_that_was_altered_is_named(dgctl: Run, tmp_path: Path) -> None:
    path = copy(tmp_path / "log")
    content = bytearray(path.read_bytes())
    content[content.rindex(b"t1/close")] ^= 1
    path.write_bytes(content)
    said = dgctl("verify", str(path), "-o", "json")
    assert said.exit_code == 1
    assert json.loads(said.stdout)["entry"] == 5


def test_money_is_counted_in_nanos_and_deposits_may_be_repeated(
    dgctl: Run, market: FakeMarket
) -> None:
    dgctl("deposit", "ann", "12.50", "--id", "monday")
    request = asked(market, ledger_pb.DepositRequest)
    assert (request.account, request.nano, request.key) == ("ann", 12_500_000_000, "monday")
    assert dgctl("withdraw", "ann", "0").exit_code == 2


def test_money_goes_back_and_the_log_has_another_key_by_a_word_that_is_signed(
    dgctl: Run, market: FakeMarket
) -> None:
    assert "entry 10 of the log" in dgctl("refund", "t1").stdout
    refund = asked(market, ledger_pb.RefundRequest)
    assert refund.trade_id == "t1" and refund.mandate.party == "ann"
    said = dgctl("rotate-key", "--id", "monday")
    assert market.answers["RotateKey"].log_public_key.hex() in said.stdout
    assert asked(market, ledger_pb.RotateKeyRequest).key == "monday"


def test_a_meter_is_moved_with_its_own_key_and_the_proof_goes_along_in_a_file(
    dgctl: Run, market: FakeMarket, tmp_path: Path
) -> None:
    key = write_new_key(tmp_path / "meter.key")
    market.answers["GetMeter"].standing.public_key = key.public_key
    proof, to = tmp_path / "left.json", "ab" * 32
    said = dgctl(
        *("meter", "release", "m1", "--meter-key", str(tmp_path / "meter.key")),
        *("--to", to, "--proof", str(proof)),
    )
    assert said.exit_code == 0 and "entry 12 of the log" in said.stdout, said.output
    request = asked(market, meter_pb.ReleaseMeterRequest)
    notice = ledger_pb2.MeterNotice.FromString(request.release.notice)
    assert (notice.meter_public_key, notice.epoch) == (key.public_key, 1)
    assert notice.to_log_id == bytes.fromhex(to)
    departure = market.answers["GetMeter"].departure
    assert read_departure(proof) == departure
    shown = dgctl("meter", "show", "m1")
    assert f"no; it was released to the log {'0' * 64}" in squeezed(shown)
    # One that the file has no more is asked for by its key.
    dgctl("meter", "show", key.public_key.hex())
    *_, last = [each for each in market.requests if isinstance(each, meter_pb.GetMeterRequest)]
    assert (last.public_key, last.meter_id) == (key.public_key, "")
    # Nothing is written over, and a proof that does not fit is no file of one.
    assert dgctl("meter", "show", "m1", "--proof", str(proof)).exit_code == 2
    other = ledger_pb2.MeterNotice(epoch=6).SerializeToString()
    released = ledger_pb2.Entry(at_unix_ns=7, release=ledger_pb2.MeterRelease(notice=other))
    departure.release.entry = released.SerializeToString()
    proof.write_text(departure_text(departure))
    said = dgctl(
        *("meter", "register", "m1", "--meter-key", str(tmp_path / "meter.key")),
        *("--released", str(proof)),
    )
    assert "epoch 2" in squeezed(said)
    registration = asked(market, meter_pb.RegisterMeterRequest).registration
    certificate = ledger_pb2.MeterCertificate.FromString(registration.certificate)
    assert certificate.epoch == 7 and registration.departure == departure


def test_a_key_of_another_meter_is_no_word_of_this_one(dgctl: Run, key_file: Path) -> None:
    said = dgctl("meter", "register", "m1", "--meter-key", str(key_file))
    assert said.exit_code != 0 and "the market knows meter m1 by the key" in said.stderr
    assert dgctl("meter", "release", "m1", "--meter-key", str(key_file), "--to", "x").exit_code == 2


def test_logs_are_compared_and_a_meter_in_both_is_named(dgctl: Run, tmp_path: Path) -> None:
    files = []
    for number in (1, 2):
        book = meters.log(number)
        meters.register(book)
        files.append(str(tmp_path / f"log{number}"))
        with Path(files[-1]).open("wb") as file:
            write_copy(file, book.entries(0, book.size), book.head())
    said = dgctl("compare", *files)
    assert said.exit_code == 1
    assert f"{meters.METER.public_key.hex()} 1, 1 1, 1 under one epoch in both" in squeezed(said)
    assert json.loads(dgctl("compare", *files, "-o", "json").stdout)["both"] == 1
    fine = dgctl("compare", files[0], files[0])
    assert fine.exit_code == 0 and "none of them at one time" in fine.stdout
