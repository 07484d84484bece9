"""What ten thousand keys take: memory, saved bytes, time to close a minute and to take it all up again.

    python -m tests.bench.keys [--keys 10000] [--minutes 90] [--old 8]

Every key learns the same number of minutes, enough for all parts of a model to be there; what it takes does not grow
with time but for how well it can be packed, which `--old` keys with six weeks of history show.
"""

from __future__ import annotations

import argparse
import gc
import time
from pathlib import Path

import numpy as np

from models.usual import Usual
from tests.bench.machine import machine

MONDAY = 1_772_409_600_000
MINUTE = 60_000
SIX_WEEKS = 42 * 1440


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def taught(keys: int, minutes: int, rng: np.random.Generator) -> tuple[Usual, float]:
    """A registry whose keys have seen so many minutes, and the processor time of one minute of all of them."""
    usual = Usual(limit=keys)
    names = [(f"queue {n // 10}", f"channel {n % 10}") for n in range(keys)]
    rates = rng.gamma(1.0, 20.0, keys)
    began = time.process_time()
    for minute in range(minutes):
        wave = np.exp(np.cos((minute / 1440 - 13 / 24) * 2 * np.pi))
        counts = rng.poisson(rates * wave).tolist()
        usual.close_minute(MONDAY + minute * MINUTE, dict(zip(names, counts, strict=True)))
    return usual, (time.process_time() - began) / minutes


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--minutes", type=int, default=90)
    parser.add_argument("--old", type=int, default=8, help="keys that live through six weeks")
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    print(machine())
    taught(10, 60, rng)  # what is loaded once is no key's
    gc.collect()
    before = resident()
    usual, cost = taught(args.keys, args.minutes, rng)
    gc.collect()
    memory = (resident() - before) / args.keys
    saved = [data for _, data in usual.save()]
    sizes = np.array([len(data) for data in saved])
    began = time.process_time()
    Usual(limit=args.keys).load(saved)
    took = time.process_time() - began
    print(f"{len(usual):,} keys, {args.minutes} minutes each:")
    print(f"  in memory {memory / 1024:.1f} KiB a key, {memory * args.keys / 2**20:.0f} MiB in all")
    whole = sizes.sum() / 2**20
    print(f"  saved     {sizes.mean() / 1024:.2f} KiB a key, at most {sizes.max() / 1024:.2f}; {whole:.0f} MiB in all")
    print(f"  a minute of all keys {cost:.2f} s of processor time, {cost / args.keys * 1e6:.0f} µs a key")
    print(f"  taken up again in {took:.1f} s of processor time")
    if args.old:
        old, _ = taught(args.old, SIX_WEEKS, rng)
        sizes = np.array([len(data) for _, data in old.save()])
        print(f"after six weeks: saved {sizes.mean() / 1024:.2f} KiB a key, at most {sizes.max() / 1024:.2f}")


if __name__ == "__main__":
    main()
