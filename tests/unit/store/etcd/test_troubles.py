import logging

import pytest

from controller.store.etcd.troubles import Troubles
from controller.store.protocol import StoreError


def test_each_reason_is_said_once_until_it_works_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    troubles = Troubles("following")
    for reason in ["no answer", "no answer", "no leader", "no answer"]:
        troubles.note(StoreError(reason))
    troubles.over()
    troubles.over()
    troubles.note(StoreError("no answer"))

    assert [record.getMessage() for record in caplog.records] == [
        "following: no answer; trying again",
        "following: no leader; trying again",
        "following: works again",
        "following: no answer; trying again",
    ]


def test_pauses_grow_to_a_second_and_begin_anew(caplog: pytest.LogCaptureFixture) -> None:
    troubles = Troubles("following")

    pauses = [troubles.note(StoreError("no answer")) for _ in range(8)]
    troubles.over()

    assert pauses == sorted(pauses)
    assert pauses[-1] == 1.0
    assert troubles.note(StoreError("no answer")) == pauses[0] < 0.1


def test_a_mistake_of_the_program_is_critical(caplog: pytest.LogCaptureFixture) -> None:
    Troubles("following").note_unexpected(ZeroDivisionError("division by zero"))

    assert caplog.records[0].levelname == "CRITICAL"
    assert caplog.records[0].exc_info is not None
