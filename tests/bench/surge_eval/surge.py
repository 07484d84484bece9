# mypy: ignore-errors
# Kept as it was measured with elsewhere, so that figures can be compared: neither form nor types are ours.
"""Injected-surge test: known surges on real (or simulated) message counts; recall, delay, false alarms.

Base `tweets`: the ten realTweets series (5-minute counts, about 55 days each). Base `chat`: simulated support-chat
counts (negative binomial, daily + weekly profile, slow drift, 8 weeks, ten queues of mean 1 to 150 messages per row).
`chat2` is another draw from the same simulator, for a check on queues nothing was tuned on.

A surge of size f for d minutes adds Poisson((f-1) * m) messages to each of its rows, m = the series' local mean
(+-1 h, original data; at least 0.5). One in three days, at a random time; never within 12 h of a labelled NAB window,
never in the first 7 days. Size and length are drawn evenly from SIZES x MINUTES.

Alert = a row with score >= threshold. A page goes out at an alert row unless one went out in the 60 minutes before.
Recall = an alert row inside [surge start, surge end + 10 min). Delay is counted to the END of the alerting row (a count
is known only when its 5 minutes are over), so the least possible delay is 5 minutes.
False alarms = pages of the run WITHOUT injections, outside NAB's labelled windows, after day 7, per series and
week. On realTweets they contain real bursts nobody labelled, so their count is an upper bound.
The threshold is chosen on those clean runs so that the mean false-alarm rate over the series hits a budget (1 and 7 per
series-week); if the detector has a `threshold` attribute, that setting is reported too. `chance` is the recall the same
surge slots get with nothing injected.
"""
from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

SIZES = (1.5, 2.0, 3.0, 5.0)
MINUTES = (10, 30, 60)
BUDGETS = (1.0, 7.0)
STEP = 5
QUIET = 60 // STEP
WARM = 7 * 24 * 60 // STEP
GRACE = 10 // STEP
GUARD = 12 * 60 // STEP
SLOT = 3 * 288
VOLUMES = (('<5/row', 0, 5), ('5-30/row', 5, 30), ('>30/row', 30, 1e9))


def _tweets(root):
    from nabscore import Corpus
    return [(s.name, s.ts, s.values, s.windows) for s in Corpus(root, ["realTweets"]).series]


def _chat(seed=7):
    out = []
    n = 56 * 24 * 12
    t0 = datetime(2026, 3, 2)
    ts = [t0 + timedelta(minutes=5 * i) for i in range(n)]
    rng = np.random.default_rng(seed)
    hour = np.arange(n) / 12.0 % 24
    dow = (np.arange(n) // 288) % 7
    for k, mean in enumerate((1, 2, 4, 8, 15, 25, 40, 70, 100, 150)):
        peak = 11 + 5 * rng.random()
        day = np.exp(1.3 * np.cos((hour - peak) / 24 * 2 * np.pi)) * (1 + 0.25 * np.cos((hour - peak) / 12 * 2 * np.pi))
        week = np.where(dow >= 5, 0.35 + 0.4 * rng.random(), 1.0)
        drift = np.exp(np.cumsum(rng.normal(0, 0.25 / np.sqrt(288), n)) * 0.5)
        lam = day * week * drift
        lam *= mean / lam.mean()
        shape = 8.0 + 12 * rng.random()           # per-row over-dispersion
        ar = np.zeros(n)                          # slow wander of the level, about an hour long
        e = rng.normal(0, 0.12, n)
        for i in range(1, n):
            ar[i] = 0.92 * ar[i - 1] + e[i] * 0.39
        lam = lam * np.exp(ar)
        v = rng.poisson(rng.gamma(shape, lam / shape)).astype(float)
        out.append((f"chat/{k}_mean{mean}", ts, v, []))
    return out


def _inject(values, windows, rng):
    n = len(values)
    v = values.copy()
    bad = np.zeros(n, bool)
    for a, b in windows:
        bad[max(0, a - GUARD):b + GUARD] = True
    c = np.cumsum(np.insert(values, 0, 0.0))
    placed = []
    for day in range(WARM, n - SLOT, SLOT):
        f = SIZES[rng.integers(len(SIZES))]
        d = MINUTES[rng.integers(len(MINUTES))]
        i = day + int(rng.integers(0, SLOT - 48))
        k = d // STEP
        u = rng.random()                          # drawn for every slot so that slots stay the same whatever is skipped
        if bad[i:i + k + GRACE].any():
            continue
        lo, hi = max(0, i - 12), min(n, i + 12)
        m = max(0.5, (c[hi] - c[lo]) / (hi - lo))
        r = np.random.default_rng(int(u * 2**52))
        v[i:i + k] = values[i:i + k] + r.poisson((f - 1) * m, k)
        placed.append((i, k, f, d))
    return v, placed


def _episodes(alert):
    """Rows at which the pager goes off: at the first alert row, and again whenever an alert row comes 60 minutes or more
    after the last page (an alarm that never stops pages 168 times a week)."""
    out, last = [], -QUIET
    for i in np.flatnonzero(alert).tolist():
        if i - last >= QUIET:
            out.append(i)
            last = i
    return np.array(out, dtype=int)


def _fa(scores, series, th):
    """False alarms per series-week on clean data."""
    rates = []
    for sc, (_, _, v, win) in zip(scores, series):
        ok = np.ones(len(v), bool)
        ok[:WARM] = False
        for a, b in win:
            ok[a:b + 1] = False
        ep = _episodes(sc >= th)
        rates.append(ok[ep].sum() / (ok.sum() / (7 * 288)))
    return float(np.mean(rates)), [float(r) for r in rates]


def _threshold_for(scores, series, budget):
    """Lowest threshold whose mean false-alarm rate is within the budget (scanned from the top down)."""
    allv = np.unique(np.concatenate([s[WARM:] for s in scores]))[::-1]
    grid = allv if len(allv) <= 400 else allv[np.unique(np.geomspace(1, len(allv), 400).astype(int) - 1)]
    best = float(grid[0]) + 1e-9
    for th in grid:
        if th <= 0 or _fa(scores, series, th)[0] > budget:
            break
        best = float(th)
    return best


def evaluate(factory, root: Path, seeds=8, base="tweets"):
    from harness import run_series
    series = _tweets(root) if base == "tweets" else _chat({"chat": 7, "chat2": 2027}[base])
    clean = [run_series(factory, ts, v.tolist()) for _, ts, v, _ in series]
    runs = []
    for seed in range(seeds):
        for k, (_, ts, v, win) in enumerate(series):
            inj, placed = _inject(v, win, np.random.default_rng([seed, k]))
            runs.append((k, run_series(factory, ts, inj.tolist()), placed))
    settings = {f"fa{b:g}": _threshold_for(clean, series, b) for b in BUDGETS}
    own = getattr(factory(), "threshold", None)
    if own is not None:
        settings["own"] = float(own)
    res = {"base": base, "seeds": seeds, "settings": {}}
    for name, th in settings.items():
        fa, per = _fa(clean, series, th)
        cells = {}
        for f in SIZES:
            for d in MINUTES:
                hit = chance = n = 0
                delays = []
                for k, sc, placed in runs:
                    for i, rows, ff, dd in placed:
                        if ff != f or dd != d:
                            continue
                        n += 1
                        a = np.flatnonzero(sc[i:i + rows + GRACE] >= th)
                        chance += bool((clean[k][i:i + rows + GRACE] >= th).any())
                        if len(a):
                            hit += 1
                            delays.append((int(a[0]) + 1) * STEP)
                cells[f"x{f:g}/{d}min"] = dict(n=n, recall=hit / max(n, 1), chance=chance / max(n, 1),
                                             delay_median=float(np.median(delays)) if delays else None,
                                             delay_mean=float(np.mean(delays)) if delays else None)
        vol = {}
        for lab, lo, hi in VOLUMES:
            for f in SIZES:
                got = [bool((sc[i:i + rows + GRACE] >= th).any()) for k, sc, placed in runs
                       for i, rows, ff, dd in placed if ff == f and lo <= series[k][2].mean() < hi]
                if got:
                    vol[f"{lab} x{f:g}"] = dict(n=len(got), recall=sum(got) / len(got))
        res["settings"][name] = dict(threshold=th, fa_per_series_week=fa, fa_per_series=per, cells=cells, by_volume=vol)
    return res


def _pool(cells, f):
    c = [v for k, v in cells.items() if k.startswith(f"x{f:g}/")]
    n = sum(x["n"] for x in c)
    hit = sum(x["recall"] * x["n"] for x in c)
    ch = sum(x["chance"] * x["n"] for x in c)
    dl = [x["delay_mean"] * x["recall"] * x["n"] for x in c if x["delay_mean"] is not None]
    return hit / n, ch / n, (sum(dl) / hit if hit else float("nan")), n


def show(label, res):
    print(f"{label}: injected surges on {res['base']} ({res['seeds']} runs)")
    for name, s in res["settings"].items():
        print(f"  [{name}] threshold {s['threshold']:.6g}: {s['fa_per_series_week']:.2f} false alarms per series-week")
        for f in SIZES:
            r, c, d, n = _pool(s["cells"], f)
            per = "  ".join(f"{m}min {s['cells'][f'x{f:g}/{m}min']['recall']:.2f}" for m in MINUTES)
            print(f"     x{f:<4g} recall {r:.2f} (chance {c:.2f}), mean delay {d:4.1f} min   [{per}]  n={n}")
        for lab, _, _ in VOLUMES:
            v = [(f, s["by_volume"].get(f"{lab} x{f:g}")) for f in SIZES]
            if v[0][1]:
                print(f"     {lab:9s}", "  ".join(f"x{f:g} {r['recall']:.2f}" for f, r in v if r))
