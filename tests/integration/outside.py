"""The stack as a stranger sees it: sockets and ClickHouse's HTTP door, by CONTRACT.md alone.

Nothing of the product is imported.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.exceptions import Error as ClickHouseError
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from tests.conformance.cases import Row

FRAME = 500
IN_FLIGHT = 32
PATIENCE_S = 240.0


def socket(url: str, path: str, token: str) -> ClientConnection:
    """An open socket."""
    return connect(
        url.replace("http", "ws") + path,
        additional_headers={"Authorization": f"Bearer {token}"},
        max_size=None,
        open_timeout=20,
    )


def frames(events: Iterable[Row]) -> list[list[Row]]:
    """The events in frames, in order."""
    whole = list(events)
    return [whole[start : start + FRAME] for start in range(0, len(whole), FRAME)]


class Sender:
    """Sends frames and ticks through a door until each is acked; connects again and resends, as the contract allows."""

    def __init__(self, access: Row, replay: bool = True) -> None:
        self._access = access
        self._path = "/v1/ingest?replay=1" if replay else "/v1/ingest"
        self.rejected: list[Row] = []

    def send(self, parts: Sequence[Row]) -> None:
        """Each part is the body of a frame without its `seq`: `{"events": […]}` or `{"tick": …, "tenant": …}`."""
        waiting = dict(enumerate(parts, 1))
        until = time.monotonic() + PATIENCE_S
        while waiting:
            assert time.monotonic() < until, f"{len(waiting)} of {len(parts)} frames were never acked"
            try:
                with socket(self._access["url"], self._path, self._access["ingest_token"]) as door:
                    self._round(door, waiting)
            except (OSError, EOFError, WebSocketException):  # cut in the middle: what was not acked is sent again
                time.sleep(0.3)

    def _round(self, door: ClientConnection, waiting: dict[int, Row]) -> None:
        order = sorted(waiting)
        sent = 0
        for place, number in enumerate(order):
            while sent < len(order) and sent < place + IN_FLIGHT:
                door.send(json.dumps({"seq": order[sent], **waiting[order[sent]]}))
                sent += 1
            answer = json.loads(door.recv(timeout=60))
            if "retry" in answer:
                time.sleep(answer["after_ms"] / 1000)
                return
            assert answer["ack"] == number, answer
            self.rejected += answer["rejected"]
            del waiting[number]


def snapshot(access: Row) -> Row:
    """The first frame of the live feed."""
    with socket(access["url"], "/v1/live", access["board_token"]) as door:
        frame: Row = json.loads(door.recv(timeout=30))
    assert frame["kind"] == "snapshot"
    return frame


def wait(what: str, ready: Callable[[], Any], patience_s: float = PATIENCE_S) -> Any:
    """Wait until it is so; returns what it came to."""
    until = time.monotonic() + patience_s
    while True:
        last: Exception | None = None
        try:
            found = ready()
        except (OSError, EOFError, WebSocketException, ClickHouseError) as error:
            found, last = None, error
        if found:
            return found
        assert time.monotonic() < until, f"{what}: not within {patience_s} s ({last})"
        time.sleep(0.3)


def ms(instant: str | None) -> int | None:
    """An RFC 3339 instant in ms."""
    return None if instant is None else round(datetime.fromisoformat(instant).timestamp() * 1000)


class History:
    """ClickHouse, as user `bi`."""

    def __init__(self, access: Row) -> None:
        url = urlsplit(access["clickhouse_url"])
        self._client = clickhouse_connect.get_client(
            host=url.hostname,
            port=url.port,
            username=access["clickhouse_user"],
            password=access["clickhouse_password"],
            database="tidewatch",
        )

    def rows(self, query: str, **parameters: Any) -> list[Row]:
        """The rows of a query; instants in ms."""
        result = self._client.query(query, parameters=parameters)
        return [
            {name: _plain(value) for name, value in zip(result.column_names, row, strict=True)}
            for row in result.result_rows
        ]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return int(value.timestamp()) * 1000 + value.microsecond // 1000
    return str(value) if isinstance(value, date) else value
