"""The address of the page that a daemon prints is one that a browser can open."""

from socket import gethostname

import pytest

from controller.daemon import page_for_people


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("0.0.0.0:50080", "http://0.0.0.0:50080/#token=abc"),
        ("[::]:50080", "http://[::]:50080/#token=abc"),
    ],
)
def test_all_addresses_are_called_by_the_name_of_the_machine(listen: str, address: str) -> None:
    assert page_for_people(listen, address) == f"http://{gethostname()}:50080/#token=abc"


def test_one_address_is_called_as_it_is() -> None:
    address = "http://127.0.0.1:50080/"
    assert page_for_people("127.0.0.1:50080", address) == address
