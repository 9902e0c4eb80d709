"""Strangers' pages, names that are pointed here, and who has no token are turned away, and told what to do."""

import asyncio

import pytest

from tests.support.northbound import free_port, in_loop, northbound
from tests.support.page import Page, page, page_over

_JSON = {"Content-Type": "application/json"}
_CALL = "api/v1/call/PowerService/ListCircuits"


async def post(served: Page, headers: dict[str, str], where: str = _CALL) -> tuple[int, str]:
    async with served.http.post(
        f"{served.address.partition('#')[0]}{where}", data=b"{}", headers=headers
    ) as answer:
        return answer.status, await answer.text()


async def first_line(address: str, header: bytes) -> bytes:
    """Of what is answered to a call with a header that no client would send."""
    port = int(address.rstrip("/").rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /%b HTTP/1.1\r\nHost: localhost\r\n%b\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\n\r\n{}" % (_CALL.encode(), header)
    )
    line = await reader.readline()
    writer.close()
    return line


@in_loop
async def test_a_program_and_the_page_itself_may_call() -> None:
    async with page() as served:
        own = served.address.rstrip("/")
        assert (await post(served, _JSON))[0] == 200
        assert (await post(served, {**_JSON, "Origin": own}))[0] == 200
        assert (await post(served, {**_JSON, "Origin": own, "Sec-Fetch-Site": "same-origin"}))[
            0
        ] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {**_JSON, "Origin": "http://evil.example"},
        {**_JSON, "Origin": "null"},
        {**_JSON, "Origin": "http://localhost:1"},
        {**_JSON, "Sec-Fetch-Site": "cross-site"},
        {**_JSON, "Sec-Fetch-Site": "same-site"},
        # What a form of a stranger's page can send without being asked.
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
)
def test_a_strangers_page_may_not_call(headers: dict[str, str]) -> None:
    @in_loop
    async def story() -> None:
        async with page() as served:
            status, text = await post(served, headers)
            assert status == 403
            assert text

    story()


@in_loop
async def test_a_strangers_page_may_not_read_the_stream() -> None:
    async with page() as served:
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}):
            async with served.http.get(f"{served.address}api/v1/stream", headers=headers) as answer:
                assert answer.status == 403


@pytest.mark.parametrize("host", ["evil.example", "evil.example:50080", "10.0.0.1", "", "["])
def test_a_name_that_is_pointed_at_loopback_is_not_ours(host: str) -> None:
    @in_loop
    async def story() -> None:
        async with page() as served:
            for path in ("", "page/index.html", "api/v1/stream"):
                async with served.http.get(
                    f"{served.address}{path}", headers={"Host": host}
                ) as answer:
                    assert answer.status in (400, 403)
            assert (await post(served, {**_JSON, "Host": host}))[0] in (400, 403)

    story()


@in_loop
async def test_loopback_may_be_called_by_any_of_its_names() -> None:
    async with page() as served:
        for host in ("localhost:8080", "127.0.0.1", "[::1]:50080", "grid.localhost"):
            async with served.http.get(served.address, headers={"Host": host}) as answer:
                assert answer.status == 200


@in_loop
async def test_behind_a_proxy_it_is_called_by_the_names_that_are_configured() -> None:
    async with northbound() as api, page_over(api, names=("Grid.example",)) as served:
        ours = {**_JSON, "Host": "grid.example", "Origin": "https://grid.example"}
        assert (await post(served, ours))[0] == 200
        assert (await post(served, {**ours, "Origin": "https://evil.example"}))[0] == 403
        assert (await post(served, {**_JSON, "Host": "evil.example"}))[0] == 403


@in_loop
async def test_beyond_loopback_a_token_is_needed() -> None:
    async with northbound() as api, page_over(api, f"0.0.0.0:{free_port()}") as served:
        address, _, token = served.address.partition("#token=")
        here = address.replace("0.0.0.0", "127.0.0.1")
        served.address = here
        assert len(token) >= 20
        async with served.http.get(here) as answer:
            assert answer.status == 200
        for headers in (_JSON, {**_JSON, "Authorization": "Bearer nonsense"}):
            status, text = await post(served, headers)
            assert status == 401
            assert "token" in text
        assert (await post(served, {**_JSON, "Authorization": f"Bearer {token}"}))[0] == 200
        assert (await first_line(here, b"Authorization: Bearer \xff")).startswith(b"HTTP/1.1 401")
        async with served.http.get(f"{here}api/v1/stream") as answer:
            assert answer.status == 401
        async with served.http.get(f"{here}api/v1/stream?token={token}") as answer:
            assert answer.status == 200


@in_loop
async def test_nothing_is_run_that_is_not_a_file_of_the_page() -> None:
    async with page() as served:
        for path in ("", "page/nothing.js", _CALL):
            async with served.http.get(f"{served.address}{path}") as answer:
                policy = answer.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "script-src 'self'" in policy
                assert "unsafe" not in policy
                assert answer.headers["X-Content-Type-Options"] == "nosniff"


@in_loop
async def test_an_address_that_is_taken_is_an_error_that_says_what_to_do() -> None:
    async with page() as served:
        port = served.address.rstrip("/").rpartition(":")[2]
        with pytest.raises(OSError, match=r"for web: .*web\.listen"):
            async with page_over(served.api, f"127.0.0.1:{port}"):
                pass


@pytest.mark.parametrize(
    "said", [b"", b"GET / HT", b"POST /api/v1/call/A/B HTTP/1.1\r\nHost: x\r\n"]
)
def test_who_connects_and_asks_for_nothing_is_closed(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("digitalgrid.http.IDLE_S", 0.2)

    @in_loop
    async def story() -> None:
        async with page() as served:
            port = int(served.address.rstrip("/").rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(said)
            assert await reader.read() == b""
            writer.close()

    story()


@in_loop
async def test_a_message_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("digitalgrid.http.IDLE_S", 0.2)
    async with page() as served:
        port = int(served.address.rstrip("/").rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /api/v1/call/PowerService/ListCircuits HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
        writer.close()
