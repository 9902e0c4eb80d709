"""``make promised`` tries what is there, as often as it says."""

import re
from pathlib import Path

import pytest

from tests.promised.__main__ import PROMISES, Promise

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("promise", PROMISES.values(), ids=PROMISES)
def test_each_promise_is_of_tests_that_ask_how_many_cases(promise: Promise) -> None:
    text = (ROOT / promise.file).read_text()
    assert f'cases("{promise.name}", ' in text
    assert len(re.findall(rf"^def test_\w*{promise.only}", text, re.MULTILINE)) >= 1
