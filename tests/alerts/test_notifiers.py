"""The HTTP doors against real sockets that behave, and that do not."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import socket
import time
from datetime import UTC, datetime

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from alerts.addresses import Forbidden, GuardedResolver, check_address, check_url
from alerts.notifiers import Rejected, Topic, Unavailable
from alerts.posting import LONGEST_WAIT_MS, retry_after_ms
from alerts.webhook import Webhook, signature
from config.settings import Channel, SettingsError
from tests.alerts.receiver import drips, hangs, raw, receiver, resets, row, run

SECRET = "correct-horse-battery-staple"


def channel(url: str, *, timeout_s: float = 5, allow_private: bool = True) -> Channel:
    return Channel(
        name="ops", type="webhook", url=url, secret=SecretStr(SECRET), allow_private=allow_private, timeout_s=timeout_s
    )


async def post(url: str, timeout_s: float = 5) -> None:
    door = Webhook(channel(url, timeout_s=timeout_s))
    try:
        await door.send([row()])
    finally:
        await door.close()


def test_a_webhook_gets_the_very_object_signed_so_that_it_can_be_checked() -> None:
    async def story() -> None:
        async with receiver() as there:
            await post(there.url + "/hook?a=1")
            (got,) = there.posts
        assert got.path == "/hook?a=1"
        assert got.body == row().body
        assert got.headers["Content-Type"] == "application/json"
        t, v1 = (part.partition("=")[2] for part in got.headers["Tidewatch-Signature"].split(","))
        assert abs(int(t) - time.time()) < 10
        assert v1 == hmac.new(SECRET.encode(), t.encode() + b"." + got.body, hashlib.sha256).hexdigest()

    run(story())


def test_a_signature_is_of_the_time_and_the_body() -> None:
    assert signature("k", b"{}", 1) != signature("k", b"{}", 2)
    assert signature("k", b"{}", 1) != signature("k", b"{ }", 1)


def test_any_2xx_is_taken() -> None:
    async def story() -> None:
        async with receiver() as there:
            for status in (200, 201, 202, 204):
                there.answers = [web.Response(status=status)]
                await post(there.url)

    run(story())


def test_what_may_pass_is_tried_again() -> None:
    async def story() -> None:
        async with receiver() as there:
            for status in (408, 425, 429, 500, 502, 503, 504, 599):
                there.answers = [web.Response(status=status, headers={"Retry-After": "30"})]
                with pytest.raises(Unavailable, match=str(status)) as told:
                    await post(there.url)
                assert told.value.retry_ms == 30_000

    run(story())


def test_what_will_not_pass_is_given_up_and_no_redirect_is_followed() -> None:
    async def story() -> None:
        async with receiver() as there, receiver() as elsewhere:
            for status in (301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 413, 422, 451):
                there.answers = [web.Response(status=status, headers={"Location": elsewhere.url})]
                with pytest.raises(Rejected, match=str(status)):
                    await post(there.url)
            assert elsewhere.posts == []

    run(story())


@pytest.mark.slow
def test_one_that_never_answers_or_drips_or_hangs_up_is_given_up_within_the_time_limit() -> None:
    async def story() -> None:
        for behave in (hangs, drips, resets):
            async with raw(behave) as url:
                with pytest.raises(Unavailable):
                    await asyncio.wait_for(post(url, timeout_s=0.5), 60)

    run(story())


def test_where_nobody_listens_it_is_tried_again() -> None:
    async def story() -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            with pytest.raises(Unavailable):
                await post(f"http://127.0.0.1:{free.getsockname()[1]}")

    run(story())


def test_no_time_limit_is_longer_than_fifteen_seconds() -> None:
    async def story() -> None:
        door = Webhook(channel("http://127.0.0.1:1", timeout_s=60))
        assert door._http._timeout.total == 15
        await door.close()

    run(story())


def test_what_went_wrong_is_told_without_the_url_or_the_secret() -> None:
    async def story() -> None:
        async with raw(resets) as url:
            with pytest.raises(Unavailable) as told:
                await post(url + "/services/T0/B0/hunter2")
            assert "hunter2" not in f"{told.value!r} {told.value.__cause__!r}"
            assert SECRET not in repr(told.value)

    run(story())
    with pytest.raises(SettingsError) as refused:
        Webhook(channel("ftp://ops.example/hunter2"))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("header", "ms"),
    [
        ("30", 30_000), ("0", 0), (" 5 ", 5_000), ("999999", LONGEST_WAIT_MS), ("-1", None), ("soon", None), ("", None),
        (None, None), ("1.5", None), ("9" * 40, None), ("Mon, 02 Mar 2026 10:00:30 GMT", 30_000),
        ("Mon, 02 Mar 2026 09:00:00 GMT", 0), ("Mon, 02 Mar 2999 10:00:00 GMT", LONGEST_WAIT_MS), ("²", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_both_its_forms_and_bounded(header: str | None, ms: int | None) -> None:
    assert retry_after_ms(header, datetime(2026, 3, 2, 10, tzinfo=UTC)) == ms


@given(st.text(max_size=40))
def test_no_retry_after_breaks_anything(header: str) -> None:
    found = retry_after_ms(header)
    assert found is None or 0 <= found <= LONGEST_WAIT_MS


# Addresses

PRIVATE = [
    "http://127.0.0.1/", "http://127.1/", "http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1/", "http://[::1]/",
    "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://10.0.0.1/",
    "http://172.16.0.1/", "http://192.168.1.1/", "http://100.64.0.1/", "http://[fd00::1]/", "http://localhost/",
    "http://LOCALHOST./", "http://a.localhost/", "http://metadata.google.internal/", "http://printer.local/",
]  # fmt: skip
NEVER = [
    "http://169.254.169.254/latest", "http://[fe80::1%25eth0]/", "http://0.0.0.0/", "http://0/", "http://[::]/",
    "http://224.0.0.1/", "file:///etc/passwd", "gopher://ops.example/", "ftp://ops.example/", "//ops.example/", "",
    "http:///x", "http://ops.example:99999/", "http://[::1/", "http://ops.example/a b", "http://ops.example/\r\nX: y",
    "http://999999999999/", "http://[::ffff:169.254.169.254]/",
]  # fmt: skip


@pytest.mark.parametrize("url", PRIVATE + NEVER)
def test_a_url_into_our_own_network_is_refused_when_it_is_read(url: str) -> None:
    with pytest.raises(Forbidden):
        check_url(url, allow_private=False)
    with pytest.raises(SettingsError, match="channels: ops: url"):
        Webhook(channel(url, allow_private=False))


@pytest.mark.parametrize("url", PRIVATE)
def test_a_private_address_passes_where_it_is_allowed(url: str) -> None:
    check_url(url, allow_private=True)


@pytest.mark.parametrize("url", NEVER)
def test_some_addresses_never_pass(url: str) -> None:
    with pytest.raises(Forbidden):
        check_url(url, allow_private=True)


@pytest.mark.parametrize("url", ["https://ops.example/hook", "http://93.184.215.14:8080/x", "https://[2606:2800::1]/"])
def test_a_public_url_passes(url: str) -> None:
    check_url(url, allow_private=False)


class Names(AbstractResolver):
    """A name server of our own: each question gets the next of its answers, then the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        hosts = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        flags = socket.AI_NUMERICHOST
        return [
            ResolveResult(hostname=host, host=h, port=port, family=socket.AF_INET, proto=0, flags=flags) for h in hosts
        ]

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("hosts", [["127.0.0.1"], ["93.184.215.14", "10.0.0.7"], ["169.254.169.254"]])
def test_a_name_that_leads_into_our_own_network_is_refused_when_it_is_connected_to(hosts: list[str]) -> None:
    async def story() -> None:
        async with receiver() as there:
            port = there.url.rpartition(":")[2]
            door = Webhook(channel(f"http://ops.example:{port}/", allow_private=False), Names(hosts))
            with pytest.raises(Rejected, match="not public"):
                await door.send([row()])
            await door.close()
            assert there.posts == []

    run(story())


def test_a_name_that_answers_differently_the_second_time_gains_nothing() -> None:
    """The connection goes to the address that was checked; there is no second question in between."""

    async def story() -> None:
        names = Names(["93.184.215.14"], ["127.0.0.1"])
        guard = GuardedResolver(False, names)
        assert [entry["host"] for entry in await guard.resolve("ops.example", 80)] == ["93.184.215.14"]
        assert names.asked == 1
        async with receiver() as there:
            port = there.url.rpartition(":")[2]
            door = Webhook(channel(f"http://ops.example:{port}/", allow_private=False, timeout_s=0.3), names)
            with pytest.raises(Rejected):
                await door.send([row()])
            await door.close()
            assert there.posts == []

    run(story())


def test_an_allowed_name_is_connected_to_where_the_resolver_says() -> None:
    async def story() -> None:
        async with receiver() as there:
            port = there.url.rpartition(":")[2]
            door = Webhook(channel(f"http://ops.example:{port}/"), Names(["127.0.0.1"]))
            await door.send([row()])
            await door.close()
            assert there.posts[0].headers["Host"] == f"ops.example:{port}"

    run(story())


@given(st.ip_addresses())
def test_no_address_passes_that_is_not_public(address: object) -> None:
    text = str(address)
    try:
        check_address(text, allow_private=False)
    except Forbidden:
        return
    assert getattr(address, "is_global", False)


def test_a_proxy_in_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with receiver() as there, receiver() as proxy:
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
            await post(there.url)
            assert proxy.posts == []
            assert len(there.posts) == 1

    run(story())


def test_sending_can_be_given_up_from_outside_at_any_time() -> None:
    async def story() -> None:
        async with raw(hangs) as url:
            door = Webhook(channel(url))
            task = asyncio.create_task(door.send([row()]))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await door.close()

    run(story())


def test_a_storm_is_published_side_by_side_and_each_alert_in_order() -> None:
    class Slow:
        def __init__(self) -> None:
            self.sent: list[tuple[str, str]] = []
            self.under_way = self.most = 0

        async def send_and_wait(self, topic: str, value: bytes, key: bytes) -> None:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            await asyncio.sleep(0)
            self.under_way -= 1
            self.sent.append((key.decode(), json.loads(value)["state"]))

    async def story() -> None:
        broker, states = Slow(), ("firing", "acknowledged", "resolved")
        await Topic(broker, "alerts").send([row(f"a{n}", state) for state in states for n in range(20)])
        assert broker.most == 20
        for n in range(20):
            assert [state for alert, state in broker.sent if alert == f"a{n}"] == list(states)

    run(story())
