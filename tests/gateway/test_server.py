from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway import server, sockets
from gateway.auth import sign_ticket
from gateway.journal import Journal
from streams.events import Record, decode_record
from tests.gateway.rig import PARTITIONS, SECRET, ask, broker, errors, gate, message, records, run, token, until

pytestmark = pytest.mark.slow


async def code_of(socket: ClientConnection) -> int:
    """The code the gateway closes with; answers before it are let pass."""
    await asyncio.wait_for(rest(socket), 10)
    assert socket.close_code is not None
    return socket.close_code


async def rest(socket: ClientConnection) -> list[dict[str, Any]]:
    """What still comes until the gateway closes."""
    found = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            found.append(json.loads(await socket.recv()))
    return found


def journalled(data: Path) -> list[Record]:
    """Every record that stands in the journal of a gateway that has ended."""

    async def read() -> list[Record]:
        journal = Journal(data / "journal", PARTITIONS)
        found = [decode_record(one.payload) for one in journal.read(1, 1 << 30)]
        await journal.close()
        return found

    return asyncio.run(read())


def idents(data: Path) -> list[str]:
    return [event.id for record in journalled(data) for event in record.events]


# Ingest


def test_each_form_of_frame_is_answered_in_order_with_its_number(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway, gateway.socket() as socket:
            assert await ask(socket, message("a")) == {"ack": 1, "accepted": 1, "rejected": []}
            assert await ask(socket, [message("b"), message("c")]) == {"ack": 2, "accepted": 2, "rejected": []}
            numbered = {"seq": 70, "events": [message("d")]}
            assert await ask(socket, numbered) == {"ack": 70, "accepted": 1, "rejected": []}
            assert await ask(socket, []) == {"ack": 4, "accepted": 0, "rejected": []}
            assert await ask(socket, message("e", seq=9)) == {"ack": 5, "accepted": 1, "rejected": []}
            assert await ask(socket, [message("a")]) == {"ack": 6, "accepted": 1, "rejected": []}

    run(story())
    assert idents(tmp_path) == ["a", "b", "c", "d", "e", "a"]


def test_a_bad_event_is_told_with_its_place_id_and_reason(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway, gateway.socket() as socket:
            answer = await ask(socket, [message("a"), message("b", text="x" * 8_001), 5, message("c")])
            assert answer["accepted"] == 2
            assert answer["rejected"] == [
                {"index": 1, "id": "b", "error": "text: longer than 8000 characters"},
                {"index": 2, "id": None, "error": "not an object"},
            ]

    run(story())
    assert idents(tmp_path) == ["a", "c"]


def test_sixty_four_frames_in_flight_are_answered_in_order(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway, gateway.socket() as socket:
            for number in range(64):
                await socket.send(json.dumps({"seq": number, "events": [message(str(number))] * 10}))
            answers = [json.loads(await socket.recv()) for _ in range(64)]
            assert [answer["ack"] for answer in answers] == list(range(64))

    run(story())


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("not json", 4400),
        ("5", 4400),
        ('{"events":[]}', 4400),
        (b"[]", 4400),
        (json.dumps([{}] * 1_001), 1009),
        ("x" * (1 << 20) + "x", 1009),
    ],
)
def test_a_frame_that_is_none_ends_the_connection_after_what_came_before(
    tmp_path: Path, frame: str | bytes, code: int
) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway, gateway.socket() as socket:
            await socket.send(json.dumps(message("a")))
            await socket.send(frame)
            if not (isinstance(frame, str) and len(frame) > 1 << 20):  # that one ends it below the frames
                assert json.loads(await socket.recv())["ack"] == 1
            assert await code_of(socket) == code

    run(story())


def test_a_frame_of_just_a_mebibyte_is_taken(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway, gateway.socket() as socket:
            frame = json.dumps([message("a")])
            assert (await ask(socket, frame + " " * ((1 << 20) - len(frame))))["accepted"] == 1

    run(story())


def test_what_is_acked_stands_masked_and_stamped_in_the_journal(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway, gateway.socket() as socket:
            now = int(time.time() * 1_000)
            await ask(socket, [message("a", text="手机13912345678"), message("b", at=now + 200_000)])

    run(story())
    first, second = (event for record in journalled(tmp_path) for event in record.events)
    assert first.text == "手机<phone>"
    assert abs(first.received_at - time.time() * 1_000) < 60_000
    assert second.clock_suspect
    assert second.at == second.received_at
    assert second.given_at is not None
    assert all(b"13912345678" not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_a_token_of_one_tenant_speaks_for_no_other(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway, gateway.socket(bearer=token("ingest", tenant="shop")) as socket:
            answer = await ask(socket, [message("a"), message("b", tenant="bank"), message("c", tenant="shop")])
            assert (answer["accepted"], errors(answer)) == (2, ["1: tenant: not this token's"])

    run(story())
    assert {event.tenant for record in journalled(tmp_path) for event in record.events} == {"shop"}


def test_who_is_too_fast_is_warned_and_then_closed(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path, gateway={"events_per_s": 10}) as gateway, gateway.socket() as socket:
            frame = json.dumps([message(str(number)) for number in range(50)])
            assert (await ask(socket, frame))["accepted"] == 50
            assert (await ask(socket, frame))["accepted"] == 50
            assert await ask(socket, frame) == {"retry": 3, "after_ms": 1_000}
            assert (await ask(socket, frame))["retry"] == 4
            await socket.send(frame)
            assert await code_of(socket) == 4429

    run(story())


# Replay


def test_a_tenant_in_replay_takes_the_past_and_ticks_until_it_goes_live(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway:
            live, replay = gateway.socket(), gateway.socket("/v1/ingest?replay=1")
            async with live as now, replay as past:
                old = message("a", at="2020-01-01T00:00:00Z", tenant="x")
                assert (await ask(past, [old]))["accepted"] == 1
                answer = await ask(now, [message("b", tenant="x"), message("c", tenant="y")])
                assert (answer["accepted"], errors(answer)) == (
                    1, ["0: tenant: is in replay, and takes events of the past only"],
                )  # fmt: skip
                tick = {"seq": 5, "tick": "2020-01-01T00:01:00Z", "tenant": "x"}
                assert await ask(past, tick) == {"ack": 5, "accepted": 0, "rejected": []}
                assert await ask(past, tick) == {"ack": 5, "accepted": 0, "rejected": []}
                back = await ask(past, {"seq": 6, "tick": "2020-01-01T00:00:59Z", "tenant": "x"})
                assert (back["accepted"], errors(back)) == (0, ["0: tick: goes back"])
                answer = await ask(past, [message("d", tenant="y")])
                assert errors(answer) == ["0: tenant: is on the real clock, and takes no events of the past"]
                assert errors(await ask(past, {"seq": 7, "tick": 10**12 * 2, "tenant": "y"})) == [
                    "0: tick: the tenant is on the real clock"
                ]
                assert errors(await ask(now, {"seq": 7, "tick": None})) == ["0: tick: only through the replay door"]
                gone = {"seq": 8, "tick": None, "tenant": "x"}
                assert errors(await ask(past, gone)) == []
                assert errors(await ask(past, gone)) == []
                assert errors(await ask(past, {**tick, "tick": "2020-01-01T00:02:00Z"})) == [
                    "0: tick: the tenant is on the real clock"
                ]
                again = await ask(past, [old, {**old, "id": "new"}])
                assert (again["accepted"], errors(again)) == (
                    1, ["1: tenant: is on the real clock, and takes no events of the past"],
                )  # fmt: skip
                assert (await ask(now, [message("e", tenant="x")]))["accepted"] == 1

    run(story())
    ticks = [record.tick for record in journalled(tmp_path) if record.tick and record.tick.tenant == "x"]
    assert [tick.at for tick in ticks] == [1_577_836_860_000] * PARTITIONS + [None] * PARTITIONS
    assert idents(tmp_path) == ["a", "c", "e"]


def test_modes_clocks_and_repeats_survive_a_restart(tmp_path: Path) -> None:
    old = message("a", at="2020-01-01T00:00:00Z", tenant="x")
    tick = {"seq": 1, "tick": "2020-01-01T00:01:00Z", "tenant": "x"}

    async def first() -> None:
        async with gate(tmp_path) as gateway, gateway.socket("/v1/ingest?replay=1") as past:
            await ask(past, [old, {**old, "tenant": "gone"}])
            await ask(past, tick)
            await ask(past, {"seq": 1, "tick": None, "tenant": "gone"})

    async def again() -> None:
        async with gate(tmp_path) as gateway, gateway.socket("/v1/ingest?replay=1") as past:
            assert errors(await ask(past, {**tick, "tick": "2020-01-01T00:00:30Z"})) == ["0: tick: goes back"]
            answer = await ask(past, [{**old, "tenant": "gone"}, {**old, "tenant": "gone", "id": "b"}])
            assert answer["accepted"] == 1
            async with gateway.socket() as now:
                assert (await ask(now, [message("l", tenant="x"), message("m", tenant="gone")]))["accepted"] == 1

    run(first())
    run(again())
    (tmp_path / "gateway.db").unlink()  # as if it had never been saved: the journal alone knows
    (tmp_path / "gateway.db-wal").unlink(missing_ok=True)
    run(again())


def test_the_replay_door_needs_both_roles(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway:
            with pytest.raises(InvalidStatus) as refused:
                async with gateway.socket("/v1/ingest?replay=1", bearer=token("ingest")):
                    pass
            assert refused.value.response.status_code == 403

    run(story())


# Who comes in


@pytest.mark.parametrize(
    ("path", "bearer", "status"),
    [
        ("/v1/ingest", "nonsense", 401),
        ("/v1/ingest", token("ingest", ttl_s=-1), 401),
        ("/v1/ingest", token("ingest", secret="another secret, another secret, another"), 401),
        ("/v1/ingest", token("supervisor"), 403),
        ("/v1/live", token("ingest"), 403),
        ("/v1/nothing", token("ingest"), 404),
        ("/", token("supervisor"), 200),
        ("/v1/ingest", "x" * 65_536, 431),
    ],
)
def test_a_wrong_header_token_is_refused_by_http(tmp_path: Path, path: str, bearer: str, status: int) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway:
            with pytest.raises((InvalidStatus, OSError, EOFError, ConnectionClosed)) as refused:
                async with gateway.socket(path, bearer=bearer):
                    pass
            if isinstance(refused.value, InvalidStatus):
                assert refused.value.response.status_code == status

    run(story())


@pytest.mark.parametrize(("bearer", "code"), [("nonsense", 4401), (token("supervisor"), 4403)])
def test_a_wrong_subprotocol_token_opens_and_closes_so_that_a_page_can_tell(
    tmp_path: Path, bearer: str, code: int
) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway:
            offered: Any = ["tidewatch.v1", f"bearer.{bearer}"]
            async with connect(f"ws://{gateway.host}/v1/ingest", subprotocols=offered) as socket:
                assert await code_of(socket) == code

    run(story())


def test_a_right_subprotocol_token_opens_the_door_and_is_not_sent_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway:
            offered: Any = ["tidewatch.v1", f"bearer.{token('ingest')}"]
            own: Any = f"http://{gateway.host}"
            async with connect(f"ws://{gateway.host}/v1/ingest", subprotocols=offered, origin=own) as socket:
                assert socket.subprotocol == "tidewatch.v1"
                assert (await ask(socket, message()))["accepted"] == 1
            with pytest.raises(InvalidStatus) as refused:
                async with connect(f"ws://{gateway.host}/v1/ingest", subprotocols=offered, origin="https://evil.com"):  # type: ignore[arg-type]
                    pass
            assert refused.value.response.status_code == 403

    run(story())


def test_a_token_that_ends_ends_the_connection(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway, gateway.socket(bearer=token("ingest", ttl_s=2)) as socket:
            assert (await ask(socket, message()))["accepted"] == 1
            assert await code_of(socket) == 4401

    run(story())


def test_a_ticket_opens_the_board_and_the_board_opens_the_feed(tmp_path: Path) -> None:
    async def story() -> None:
        ticket = sign_ticket(SECRET, "board", "*", ["supervisor"], 600, time.time())
        async with gate(tmp_path) as gateway, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as web:
            base = f"http://{gateway.host}"
            async with web.get(f"{base}/?ticket={ticket}") as page:
                assert page.status == 200
                assert page.headers["Content-Type"].startswith("text/html")
                assert "HttpOnly" in page.headers["Set-Cookie"]
                assert "SameSite=Strict" in page.headers["Set-Cookie"]
            async with web.ws_connect(f"{base}/v1/live", origin=base) as socket:
                first = json.loads((await socket.receive(10)).data)
                assert first["kind"] == "snapshot"
            for origin in ("https://evil.com", None):
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await web.ws_connect(f"{base}/v1/live", origin=origin)
                assert refused.value.status == 403
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await web.ws_connect(f"{base}/v1/ingest", origin=base)
            assert refused.value.status == 401

    run(story())


# HTTP


def test_the_open_pages_say_what_they_should_and_nothing_else_is_there(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway, aiohttp.ClientSession(f"http://{gateway.host}") as web:

            async def get(path: str, method: str = "GET") -> tuple[int, str]:
                async with web.request(method, path) as answer:
                    assert "websockets" not in str(answer.headers)
                    assert answer.headers["X-Content-Type-Options"] == "nosniff"
                    return answer.status, await answer.text()

            assert await get("/healthz") == (200, "ok\n")
            status, said = await get("/readyz")
            assert status == 503
            assert json.loads(said)["checks"].keys() == {"broker", "live", "journal"}
            assert (await get("/metrics"))[1].count("tidewatch_gateway_") > 10
            assert (await get("/"))[0] == 200
            for path in ("/nothing", "/v1", "/v1/live/x", "/../etc/passwd", "/board/../auth.py", "/healthz/"):
                assert (await get(path))[0] == 404
            assert (await get("/v1/ingest"))[0] == 401
            assert (await get("/healthz", "POST"))[0] == 405
            assert (await get("/v1/ingest", "TRACE"))[0] == 405

    run(story())


async def raw(gateway_host: str, sent: bytes, within_s: float) -> bytes:
    """What comes back on a plain TCP connection until it is closed."""
    host, port = gateway_host.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(sent)
        return await asyncio.wait_for(reader.read(-1), within_s)
    finally:
        writer.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
        b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET http://127.0.0.1/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_hostile_requests_are_refused_without_a_word_about_us(tmp_path: Path, sent: bytes) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway:
            try:
                said = await raw(gateway.host, sent, 6)
            except ConnectionError:
                said = b""
            assert said == b"" or said.split()[1] in {b"400", b"405", b"414", b"431"}
            assert b"Traceback" not in said
            assert b"Python" not in said

    run(story())


# Abuse


def test_a_handshake_that_never_ends_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HANDSHAKE_S", 0.5)

    async def story() -> None:
        async with gate(tmp_path) as gateway:
            assert await raw(gateway.host, b"GET /v1/ingest HTTP/1.1\r\nHost:", 60) == b""

    run(story())


def test_who_pings_and_never_reads_is_cut(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway:
            host, port = gateway.host.split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            writer.write(
                f"GET /v1/ingest HTTP/1.1\r\nHost: {gateway.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{key}"
                f"Authorization: Bearer {token()}\r\n\r\n".encode()
            )
            assert b"101" in await reader.readline()
            ping = b"\x89\xfd" + b"\x00" * 4 + b"p" * 125
            with contextlib.suppress(ConnectionError):
                async with asyncio.timeout(20):
                    while True:
                        writer.write(ping * 1_000)
                        await writer.drain()
            writer.transport.abort()
            async with gateway.socket() as socket:
                assert (await ask(socket, message()))["accepted"] == 1

    run(story())


def test_a_message_in_a_thousand_pieces_is_taken_and_one_in_more_is_too_big(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway, gateway.socket() as socket:
            text = json.dumps([message("a")])
            await socket.send(iter([*text, *" " * (1_000 - len(text))]))
            assert json.loads(await socket.recv())["accepted"] == 1
            with contextlib.suppress(ConnectionClosed):
                await socket.send(iter(" " * 70_000))
            assert await code_of(socket) == 1009

    run(story())


def test_half_a_message_does_not_hold_a_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "MAX_UNFINISHED_S", 0.3)

    async def story() -> None:
        async def half() -> AsyncIterator[str]:
            yield "["
            await asyncio.sleep(30)

        async with gate(tmp_path) as gateway, gateway.socket() as socket:
            sending = asyncio.create_task(socket.send(half()))
            assert await code_of(socket) == 1006
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    run(story())


def test_a_frame_that_claims_to_be_huge_is_refused_at_once(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway, gateway.socket() as socket:
            socket.transport.write(b"\x81\xff" + (1 << 62).to_bytes(8) + b"mask" + b"x" * 100)
            assert await code_of(socket) == 1009
        for bad, code in ((b"\x81\x01x", 1002), (b"\xf1\x80mask", 1002), (b"\x81\x81\x00\x00\x00\x00\xff", 1007)):
            async with gate(tmp_path) as gateway, gateway.socket() as socket:
                socket.transport.write(bad)
                assert await code_of(socket) == code

    run(story())


def test_there_is_room_for_so_many_from_one_address(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path, gateway={"max_per_address": 1}) as gateway:
            async with gateway.socket() as socket:
                await ask(socket, message())
                with pytest.raises(InvalidStatus) as refused:
                    async with gateway.socket():
                        pass
                assert refused.value.response.status_code == 503
            deadline = time.monotonic() + 5
            while True:
                try:
                    async with gateway.socket() as socket:
                        await ask(socket, message())
                    break
                except InvalidStatus:
                    assert time.monotonic() < deadline

    run(story())


# Beginning and end


def test_a_stop_answers_what_is_in_flight_and_closes_with_1012(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway:
            socket = await gateway.socket()
            idle = await gateway.socket()
            for number in range(30):
                await socket.send(json.dumps({"seq": number, "events": [message(str(number))]}))
            await until(lambda: bool(socket.recv_messages.frames))  # the first is answered, so all have come in
        answers = await rest(socket)
        assert socket.close_code == 1012
        assert await code_of(idle) == 1012
        acked.update(str(answer["ack"]) for answer in answers)

    acked: set[str] = set()
    run(story())
    assert acked
    assert acked <= set(idents(tmp_path))


def test_the_port_is_written_down_for_the_supervisor(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway:
            assert int((tmp_path / "ports" / "gateway").read_text()) == gateway.port

    run(story())


def test_chat_comes_out_of_the_broker_with_a_tick_a_second_in_every_partition(tmp_path: Path) -> None:
    async def story() -> None:
        async with broker() as bootstrap, gate(tmp_path, bootstrap) as gateway, gateway.socket() as socket:
            await ask(socket, [message(str(number), f"c{number}") for number in range(100)])

            def enough(found: list[tuple[int, Record]]) -> bool:
                ticks = [partition for partition, record in found if record.tick]
                return min(ticks.count(partition) for partition in range(PARTITIONS)) >= 3

            found = await records(bootstrap, enough)
            assert sorted(int(event.id) for _, record in found for event in record.events) == list(range(100))
            ticks = [record.tick.at for partition, record in found if partition == 0 and record.tick]
            assert all(at is not None and at % 1_000 == 0 for at in ticks)
            assert ticks == sorted(ticks, key=lambda at: at or 0)

    run(story())
