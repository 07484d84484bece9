"""How good the surge detectors are, measured: injected surges, and the Numenta Anomaly Benchmark.

    python -m tests.bench.surge                       all four: chat, chat2 (queues nothing was tuned on), tweets, nab
    python -m tests.bench.surge chat nab --seeds 2    some, with fewer runs

The goals and what they mean: `docs/surge.md`. Everything about two minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent / "surge_eval"
BASES = ("chat", "chat2", "tweets")


def run(what: str, seeds: int, data: Path) -> None:
    """Run one measurement and print it."""
    sys.path.insert(0, str(HERE))
    import harness  # type: ignore[import-not-found]  # beside its data, not a package of ours

    if what == "nab":
        harness.main(["--detector", "models.bench:novelty", "--mode", "nab", "--data", str(data)])
    else:
        common = ["--detector", "models.bench:volume", "--mode", "surge", "--data", str(data)]
        harness.main([*common, "--base", what, "--seeds", str(seeds)])


def unpacked(into: str) -> Path:
    """The benchmark's data, unpacked."""
    with tarfile.open(HERE / "nab.tar.xz") as archive:
        archive.extractall(into, filter="data")
    return Path(into)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=[*BASES, "nab", "all"], default="all")
    parser.add_argument("--seeds", type=int, default=8, help="runs with injected surges")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = unpacked(folder)
        for what in [*BASES, "nab"] if "all" in args.what else args.what:
            run(what, args.seeds, data)


if __name__ == "__main__":
    main()
