# mypy: ignore-errors
# Kept as it was measured with elsewhere, so that figures can be compared: neither form nor types are ours.
"""Run a strictly online surge detector over NAB and/or the injected-surge test and print the scores.

    python harness.py --detector baselines:log_ewma                 # both evaluations
    python harness.py --detector mypkg.mod:make --mode nab --groups realTweets
    python harness.py --results /path/to/NAB/results --name numenta # score result CSVs somebody else committed

A detector is what the factory returns: an object with `update(ts: datetime, value: float) -> float` (higher = more
anomalous; 0..1 wanted, not enforced). A fresh one is made for each series; it sees one row at a time and nothing else:
no file length, no range, no labels. Optional: an attribute `threshold` (its own alert setting) is reported as well.
"""
from __future__ import annotations

import argparse
import csv
import importlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from nabscore import Corpus  # noqa: E402


def data_root(arg=None) -> Path:
    for p in (arg, os.environ.get("NAB_DATA"), HERE.parent / "nab"):
        if p and (Path(p) / "labels" / "combined_windows.json").exists():
            return Path(p)
    raise SystemExit("NAB data not found: pass --data or set NAB_DATA (a folder with data/ and labels/)")


def load_factory(spec: str, rest: int = 0):
    mod, _, fn = spec.partition(":")
    sys.path.insert(0, os.getcwd())
    f = getattr(importlib.import_module(mod), fn or "factory")
    if not rest:
        return f
    from baselines import Rest
    return lambda: Rest(f(), rest)


def run_series(factory, ts, values) -> np.ndarray:
    d = factory()
    if getattr(d, "batch", False):      # offline reference curves only; never a product detector
        return np.asarray(d.run(ts, values), dtype=float)
    up = d.update
    return np.fromiter((up(t, v) for t, v in zip(ts, values)), dtype=float, count=len(values))


def run_nab(factory, corpus: Corpus):
    t0 = time.perf_counter()
    scores = {s.name: run_series(factory, s.ts, s.values.tolist()) for s in corpus.series}
    rows = sum(len(s.values) for s in corpus.series)
    rep = corpus.report(scores)
    rep["us_per_row"] = 1e6 * (time.perf_counter() - t0) / rows
    th = getattr(factory(), "threshold", None)
    if th is not None:
        rep["fixed"] = {"threshold": th, "score": corpus.at(scores, th)}
    return rep, scores


def read_results(root, name, corpus: Corpus):
    out = {}
    for s in corpus.series:
        g, f = s.name.split("/")
        with open(Path(root) / name / g / f"{name}_{f}") as fh:
            out[s.name] = np.array([float(r["anomaly_score"]) for r in csv.DictReader(fh)])
    return out


def show_nab(label, rep):
    p = rep["profiles"]
    print(f"{label}: NAB standard {p['standard']['score']:.2f}  low-FP {p['low_fp']['score']:.2f}  "
          f"low-FN {p['low_fn']['score']:.2f}  (threshold {p['standard']['threshold']:.6g}; "
          f"{rep['windows_hit']}/{rep['windows']} windows, {rep['fp_rows']} rows alerting outside)")
    if rep["cross_validated"] is not None:
        print(f"  standard, threshold from other files (5 folds): {rep['cross_validated']:.2f}")
    if "fixed" in rep:
        print(f"  at its own fixed threshold {rep['fixed']['threshold']}: {rep['fixed']['score']:.2f}")
    for g, r in rep["groups"].items():
        sc = (f"{r['score']:7.2f}  (own threshold {r['own_score']:6.2f})" if "score" in r else "      -" + " " * 25)
        print(f"  {g:22s} {sc}  hit {r['windows_hit']}/{r['windows']}  outside {r['fp_rows']}")
    if "us_per_row" in rep:
        print(f"  {rep['us_per_row']:.1f} us/row")


def main(argv=None):
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--detector", help="module:factory")
    ap.add_argument("--mode", choices=["nab", "surge", "both"], default="both")
    ap.add_argument("--groups", nargs="*", help="only these NAB folders, e.g. realTweets realKnownCause")
    ap.add_argument("--data", help="folder with data/ and labels/ (default: shared/nab of this repo)")
    ap.add_argument("--results", help="score a folder of NAB result CSVs instead of running a detector")
    ap.add_argument("--name", help="detector name in --results")
    ap.add_argument("--seeds", type=int, default=8, help="injection runs of the surge test")
    ap.add_argument("--base", choices=["tweets", "chat", "chat2"], default="tweets", help="surge test: what to inject into")
    ap.add_argument("--rest", type=int, default=0, metavar="ROWS", help="wrap the detector in baselines.Rest")
    ap.add_argument("--json", help="write all numbers here")
    a = ap.parse_args(argv)
    root = data_root(a.data)
    out = {}
    if a.results:
        corpus = Corpus(root, a.groups)
        rep = corpus.report(read_results(a.results, a.name, corpus))
        show_nab(a.name, rep)
        out["nab"] = rep
    elif a.detector:
        factory = load_factory(a.detector, a.rest)
        if a.mode in ("nab", "both"):
            rep, _ = run_nab(factory, Corpus(root, a.groups))
            show_nab(a.detector, rep)
            out["nab"] = rep
        if a.mode in ("surge", "both"):
            import surge
            res = surge.evaluate(factory, root, seeds=a.seeds, base=a.base)
            surge.show(a.detector, res)
            out["surge"] = res
    else:
        ap.error("--detector or --results is needed")
    if a.json:
        Path(a.json).write_text(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
