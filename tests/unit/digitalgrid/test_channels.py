"""What is near is dialled directly whatever the environment says; what goes through a proxy says so."""

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from digitalgrid.channels import Proxy, proxy_note, proxy_of
from digitalgrid.client import ControllerUnreachable, PowerClient
from tests.support.northbound import northbound

ROOT = Path(__file__).parents[3]
DEAD_PROXY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("grpc_proxy", "https_proxy", "no_grpc_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", DEAD_PROXY)
    yield


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1:50051",
        "localhost:50051",
        "[::1]:50051",
        "10.213.0.1:50052",
        "192.168.3.4:1",
        "[fd00::7]:50052",
        "ipv4:127.0.0.1:50051",
        "dns:///localhost:50051",
        "unix:/run/dgc.sock",
    ],
)
def test_what_is_near_is_dialled_directly(address: str) -> None:
    assert proxy_of(address) is None and proxy_note(address) == ""


def test_what_is_far_goes_through_the_proxy_unless_it_is_excepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert proxy_of("grid.example.org:50051") == Proxy(DEAD_PROXY, "http_proxy")
    assert proxy_of("8.8.8.8:50051") == Proxy(DEAD_PROXY, "http_proxy")
    monkeypatch.setenv("https_proxy", "http://other:3128")
    assert proxy_of("grid.example.org:50051") == Proxy("http://other:3128", "https_proxy")
    for excepted in ("example.org", ".example.org", "*.example.org", "a.b, grid.example.org", "*"):
        monkeypatch.setenv("no_proxy", excepted)
        assert proxy_of("grid.example.org:50051") is None
    monkeypatch.setenv("no_proxy", "8.8.0.0/16")
    assert proxy_of("8.8.8.8:50051") is None and proxy_of("grid.example.org:1") is not None


def test_an_unreachable_controller_is_told_with_the_proxy_and_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:9")
    with (
        PowerClient("198.51.100.7:50051", timeout_s=0.2) as client,
        pytest.raises(ControllerUnreachable) as direct,
    ):
        client.get_topology()
    assert "proxy" not in str(direct.value)
    with (
        PowerClient("grid.example.org:50051", timeout_s=0.5) as client,
        pytest.raises(ControllerUnreachable, match="http_proxy") as error,
    ):
        client.get_topology()
    assert "the proxy http://127.0.0.1:9 of" in str(error.value)
    assert "no_proxy=grid.example.org" in str(error.value) and "secret" not in str(error.value)


def test_a_controller_on_this_machine_answers_whatever_the_proxy_is() -> None:
    async def play() -> None:
        async with northbound() as here:
            assert (await here.client.get_topology()).routers

    asyncio.run(play())


def test_nobody_else_makes_a_channel() -> None:
    """Who made one by himself would go through a proxy to his own machine."""
    makers = {
        path.relative_to(ROOT).as_posix()
        for room in ("controller", "dgc", "dgctl", "digitalgrid", "router_agent", "topologies")
        for path in (ROOT / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("insecure_channel", "secure_channel")
    }
    assert makers == {"digitalgrid/channels.py"}
