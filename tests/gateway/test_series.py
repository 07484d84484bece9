"""FAULTS J-09: whatever clients send, no metric has more than some series: labels are from closed sets."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import aiohttp
import pytest
from websockets.exceptions import InvalidStatus

from gateway.metrics import Metrics
from tests.gateway.rig import ask, gate, message, run, token

MOST = 200
MANY = 300


def series(text: str) -> Counter[str]:
    """Metric → how many series it has."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return Counter(line.partition("{")[0].partition(" ")[0] for line in lines)


def test_j09_what_was_wrong_is_counted_under_a_field_of_ours() -> None:
    metrics = Metrics()
    for number in range(MANY):
        metrics.refused(f"field{number}: unknown")
    assert series(metrics.text().decode())["tidewatch_gateway_events_rejected_total"] == 1


@pytest.mark.slow
def test_j09_no_metric_has_more_than_two_hundred_series(tmp_path: Path) -> None:
    async def story() -> None:
        async with gate(tmp_path) as gateway, aiohttp.ClientSession(f"http://{gateway.host}") as web:
            async with gateway.socket() as socket:
                made_up = [message(f"m{n}", f"c{n}", **{f"field{n}": n}) for n in range(MANY)]
                named = [
                    message(f"n{n}", f"c{n}", tenant=f"tenant{n}", queue=f"q{n}", channel=f"ch{n}") for n in range(MANY)
                ]
                odd = [message(f"o{n}", f"c{n}", author=f"author{n}") for n in range(MANY)]
                for events in (made_up, named, odd, [{f"f{n}": n} for n in range(MANY)]):
                    await ask(socket, events)
            for code in range(3_000, 3_000 + MANY):
                async with gateway.socket() as socket:
                    await socket.close(code, f"reason {code}")
            for number in range(MANY):
                async with web.get(f"/path{number}", headers={"Host": f"host{number}"}):
                    pass
                with pytest.raises(InvalidStatus):
                    async with gateway.socket(f"/v1/door{number}", bearer=token("ingest", tenant=f"t{number}")):
                        pass
            async with web.get("/metrics") as answer:
                found = series(await answer.text())
        print(found.most_common(3))
        assert found["tidewatch_gateway_events_rejected_total"] > 0
        assert max(found.values()) <= MOST

    run(story())
