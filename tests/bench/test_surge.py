"""The bars below which the detectors are not shipped. Opt-in: `make bench`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models.bench import novelty, volume
from tests.bench.surge import HERE, unpacked

pytestmark = pytest.mark.bench


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    sys.path.insert(0, str(HERE))
    yield unpacked(str(tmp_path_factory.mktemp("nab")))
    sys.path.remove(str(HERE))


def _surges(data: Path, base: str, seeds: int) -> dict[str, Any]:
    import surge  # type: ignore[import-not-found]

    found: dict[str, Any] = surge.evaluate(volume, data, seeds, base)["settings"]
    return found


def _recall(setting: dict[str, Any], size: float) -> float:
    import surge

    return float(surge._pool(setting["cells"], size)[0])


def test_three_surges_in_four_of_thrice_the_volume_are_found_at_one_false_page_a_week(data: Path) -> None:
    found = _surges(data, "chat", 4)
    assert _recall(found["fa1"], 3.0) >= 0.76
    assert _recall(found["fa1"], 2.0) >= 0.40


def test_at_the_shipped_threshold_unseen_queues_page_about_once_a_week(data: Path) -> None:
    found = _surges(data, "chat2", 4)["own"]
    assert found["fa_per_series_week"] <= 1.2
    assert _recall(found, 3.0) >= 0.72


def test_novelty_reaches_seventy_on_the_numenta_benchmark(data: Path) -> None:
    import harness  # type: ignore[import-not-found]
    import nabscore  # type: ignore[import-not-found]

    report, _ = harness.run_nab(novelty, nabscore.Corpus(data))
    assert report["profiles"]["standard"]["score"] >= 70.0
    assert report["cross_validated"] >= 69.0
