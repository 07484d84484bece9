# mypy: ignore-errors
# Kept as it was measured with elsewhere, so that figures can be compared: neither form nor types are ours.
"""NAB scoring, written from the published formula (vectorised, numpy only).

Lavin & Ahmad 2015 (arXiv:1510.03336): every labelled window is worth at most +1 (earliest detection in it,
scaled sigmoid of the relative position), a missed window -fn, every alert row outside a window costs up to fp,
softened just after a window. ONE threshold is chosen for the whole corpus, maximising the summed score, and the sum
is rescaled so that "no alerts" is 0 and "all windows hit on their first row" is 100.

The first 15 % of a file (at most 750 rows) is probation: not scored.
"""
from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PROFILES = {
    "standard": dict(tp=1.0, fp=0.11, fn=1.0),
    "low_fp": dict(tp=1.0, fp=0.22, fn=1.0),
    "low_fn": dict(tp=1.0, fp=0.11, fn=2.0),
}
PROBATION = 0.15


def probation_rows(n: int) -> int:
    """First scored row index."""
    return math.ceil(min(math.floor(PROBATION * n), PROBATION * 5000))


def _sig(y):
    """2*sigmoid(-5y)-1, flat -1 beyond y=3."""
    y = np.asarray(y, dtype=float)
    return np.where(y > 3.0, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(y, 3.0))) - 1.0)


MAX_TP = float(_sig(-1.0))


@dataclass
class Series:
    name: str                 # "realTweets/Twitter_volume_AAPL.csv"
    ts: list                  # datetimes
    values: np.ndarray
    windows: list             # [(first row, last row)], inclusive

    @property
    def group(self) -> str:
        return self.name.split("/")[0]


def row_weights(s: Series):
    """(unit score per row, window id per row or -1); unit = TP worth in (0,1], or FP cost in [-1,0)."""
    n = len(s.values)
    wid = np.full(n, -1, dtype=int)
    unit = np.full(n, -1.0)
    prev = None
    for k, (a, b) in enumerate(s.windows):
        lo = prev[1] + 1 if prev else 0
        if prev and a > lo:
            i = np.arange(lo, a)
            unit[lo:a] = _sig((i - prev[1]) / float(prev[1] - prev[0]))
        i = np.arange(a, b + 1)
        unit[a:b + 1] = _sig(-(b - i + 1) / float(b - a + 1)) / MAX_TP
        wid[a:b + 1] = k
        prev = (a, b)
    if prev and prev[1] + 1 < n:
        i = np.arange(prev[1] + 1, n)
        unit[prev[1] + 1:] = _sig((i - prev[1]) / float(prev[1] - prev[0]))
    return unit, wid


class Corpus:
    def __init__(self, root: str | Path, groups=None):
        import csv
        from datetime import datetime
        root = Path(root)
        labels = json.loads((root / "labels" / "combined_windows.json").read_text())
        self.series: list[Series] = []
        for name in sorted(labels):
            if groups and name.split("/")[0] not in groups:
                continue
            ts, v = [], []
            with open(root / "data" / name) as f:
                rd = csv.reader(f)
                next(rd)
                for row in rd:
                    ts.append(datetime.fromisoformat(row[0]))
                    v.append(float(row[1]))
            pos: dict = {}
            for i, t in enumerate(ts):
                pos.setdefault(t, i)
            win = [(pos[datetime.fromisoformat(a)], pos[datetime.fromisoformat(b)]) for a, b in labels[name]]
            self.series.append(Series(name, ts, np.array(v), win))
        self._prep = {s.name: row_weights(s) for s in self.series}

    # ---- scoring -------------------------------------------------------------------------------------------------
    def _curve(self, scores: dict, names, prof):
        """Sorted thresholds and the raw summed score at each."""
        cs, cd = [], []           # score at which a contribution starts, its size
        base = 0.0
        for s in self.series:
            if s.name not in names:
                continue
            unit, wid = self._prep[s.name]
            a = np.asarray(scores[s.name], dtype=float)
            if len(a) != len(unit):
                raise ValueError(f"{s.name}: {len(a)} scores for {len(unit)} rows")
            if not np.all(np.isfinite(a)):
                raise ValueError(f"{s.name}: a score is not finite")
            p = probation_rows(len(a))
            m = np.arange(len(a)) >= p
            out = m & (wid < 0)
            cs.append(a[out])
            cd.append(unit[out] * prof["fp"])
            for k in range(len(s.windows)):
                idx = np.flatnonzero(m & (wid == k))
                if not len(idx):
                    continue      # NAB: a window wholly inside probation neither pays nor costs
                base -= prof["fn"]
                o = np.argsort(-a[idx], kind="stable")
                gain = np.maximum.accumulate(np.concatenate([[-prof["fn"]], unit[idx][o] * prof["tp"]]))
                cs.append(a[idx][o])
                cd.append(np.diff(gain))
        cs, cd = np.concatenate(cs), np.concatenate(cd)
        o = np.argsort(-cs, kind="stable")
        cs, cd = cs[o], np.cumsum(cd[o])
        last = np.append(cs[1:] != cs[:-1], True)
        return np.append(1.1, cs[last]), np.append(base, base + cd[last]), base

    def _norm(self, raw, names, prof):
        n = sum(len(s.windows) for s in self.series if s.name in names)
        null = -prof["fn"] * n
        return 100.0 * (raw - null) / (prof["tp"] * n - null) if n else float("nan")

    def best(self, scores: dict, profile="standard", names=None):
        """(threshold, normalised score) with NAB's threshold optimisation over `names` (default: the corpus)."""
        prof = PROFILES[profile]
        names = set(names or [s.name for s in self.series])
        th, raw, _ = self._curve(scores, names, prof)
        i = int(np.argmax(raw))
        return float(th[i]), self._norm(float(raw[i]), names, prof)

    def at(self, scores: dict, threshold: float, profile="standard", names=None):
        """Normalised score at a given threshold."""
        prof = PROFILES[profile]
        names = set(names or [s.name for s in self.series])
        th, raw, _ = self._curve(scores, names, prof)
        ok = np.flatnonzero(th >= threshold)
        return self._norm(float(raw[ok[-1]]), names, prof)

    def cross_validated(self, scores: dict, profile="standard", k=5):
        """Score with each file judged at the threshold that is best on the OTHER files (file i is in fold i mod k).

        Takes the label-fitted threshold out of the figure; a detector's own label-tuned weights it cannot take out.
        """
        prof = PROFILES[profile]
        names = [s.name for s in self.series]
        total = 0.0
        for j in range(k):
            test = set(names[j::k])
            th, raw, _ = self._curve(scores, set(names) - test, prof)
            t = th[int(np.argmax(raw))]
            th, raw, _ = self._curve(scores, test, prof)
            total += float(raw[np.flatnonzero(th >= t)[-1]])
        return self._norm(total, set(names), prof)

    def counts(self, scores: dict, threshold: float, names=None):
        """Windows hit / windows, rows alerting outside windows."""
        hit = tot = fp = 0
        for s in self.series:
            if names and s.name not in names:
                continue
            _, wid = self._prep[s.name]
            a = np.asarray(scores[s.name]) >= threshold
            m = np.arange(len(a)) >= probation_rows(len(a))
            fp += int((a & m & (wid < 0)).sum())
            for k in range(len(s.windows)):
                sel = m & (wid == k)
                if sel.any():
                    tot += 1
                    hit += int((a & sel).any())
        return hit, tot, fp

    def report(self, scores: dict) -> dict:
        out = {"profiles": {}, "groups": {}}
        for p in PROFILES:
            t, v = self.best(scores, p)
            out["profiles"][p] = dict(threshold=t, score=v)
        t = out["profiles"]["standard"]["threshold"]
        out["cross_validated"] = self.cross_validated(scores) if len(self.series) >= 10 else None
        hit, tot, fp = self.counts(scores, t)
        out["windows_hit"], out["windows"], out["fp_rows"] = hit, tot, fp
        for g in sorted({s.group for s in self.series}):
            names = {s.name for s in self.series if s.group == g}
            h, n, f = self.counts(scores, t, names)
            row = dict(windows_hit=h, windows=n, fp_rows=f)
            if n:
                row["score"] = self.at(scores, t, names=names)
                row["own_threshold"], row["own_score"] = self.best(scores, names=names)
            out["groups"][g] = row
        return out
