"""Do intervals hold the truth as often as they say, and do verdicts err as seldom?

    python examples/benchmarks/coverage.py                     # about a quarter of an hour on one core

Simulated models whose true scores are known: examples differ in how hard they are, trainings in how well
they go, and each training errs on other examples. Near chance, in the middle and near 1 are accuracies of
0.5, 0.8 and 0.97 (F1 and Matthews are of the same answers, 30 % of the examples positive), nDCG near 0.05,
0.5 and 0.95, and correlations of 0.05, 0.6 and 0.95. Trainings differ by about a point of accuracy. What an
interval should hold is the training's score over all examples where there is one training, and the mean over
all trainings where there are more.

An interval should hold the truth in 93 to 97 % of the samples. A setting misses this where a binomial test
(1 %) says that its true coverage is outside: of 1,000 samples, at most 910 or at least 983 held the truth (of
600, at most 542 or at least 592). A setting that passes may still miss by a point: few samples show little.
In some settings fewer than five examples tell the score from its bound (0.97 of 100 right answers): scores
move in steps there, no interval is exact, and `mbert eval` and `mbert compare` say so.

A false verdict is a `better` or `worse` (p at most 0.05) where the true means are the same.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from _common import RESULTS, write_records
from scipy import stats
from simulated import LEVELS, Law, classes, laws

from modernbert.evaluation.statistics import ENOUGH, difference, interval
from modernbert.evaluation.sums import BOUNDS, sums_of
from modernbert.model.device import describe_hardware
from modernbert.version import versions

OUTPUT = RESULTS / "coverage.json"
EXAMPLES = (30, 100, 300, 1000)
SEEDS = (1, 2, 3, 5)
# How often an interval should hold the truth, and how unlikely a sample must be to show that it does not.
TARGET, DOUBT = (0.93, 0.97), 0.01
FEW = "few examples decide"


def covered(law: Law, n: int, seeds: int, times: int, random: np.random.Generator) -> dict[str, float]:
    """Return how often the interval holds the truth, and its mean width."""
    held, widths = [], []
    for _ in range(times):
        luck_S = random.normal(0, law.spread, seeds)
        labels, predictions = law.draw(random, n, luck_S)
        low, high = interval([sums_of(law.metric, labels, one) for one in predictions])
        truth = law.truth(luck_S)[0] if seeds == 1 else law.mean()
        held.append(low <= truth <= high)
        widths.append(high - low)
    found = {"coverage": float(np.mean(held)), "width": float(np.mean(widths))}
    return found | {"misses": misses(sum(held), times), FEW: few_decide(law, n)}


def misses(held: int, times: int) -> str:
    """Return how the true coverage misses its target; empty where these samples do not show that it does."""
    if stats.binom.cdf(held, times, TARGET[0]) < DOUBT:
        return "too narrow"
    return "too wide" if stats.binom.sf(held - 1, times, TARGET[1]) < DOUBT else ""


def few_decide(law: Law, n: int) -> bool:
    """Is the true score so near to a bound that few of n examples tell it from there?"""
    low, high = BOUNDS[law.metric]
    rarer = min(law.mean() - low, high - law.mean()) / (high - low)
    return law.metric not in ("pearson", "spearman") and rarer * n < ENOUGH


def one_side(law: Law, n: int, seeds: int, better: float, random: np.random.Generator, labels, shared_N):
    """Return the runs of one model, with `better` added to its true accuracy; 0 seeds: it is not trained."""
    threshold = stats.norm.ppf(0.8 + better) * np.sqrt(1 + (law.spread if seeds else 0.0) ** 2)
    luck_S = random.normal(0, law.spread, seeds) if seeds else np.zeros(1)
    own_N = random.normal(0, 0.3, n)
    noise_SN = random.normal(0, 0.6, (len(luck_S), n))
    scale = np.sqrt(0.55 + 0.3**2 + 0.6**2)
    right_SN = threshold + luck_S[:, None] + (shared_N + own_N + noise_SN) / scale > 0
    return [sums_of("accuracy", labels, np.where(right_N, labels, 1 - labels)) for right_N in right_SN]


def decided(
    n: int, sides: tuple[int, int], spreads: tuple[float, float], better: float, times: int, random
) -> float:
    """Return how often one of two models is called better. 0 runs of a side: a method that is not trained."""
    found = []
    for _ in range(times):
        labels = (random.random(n) < 0.5).astype(int)
        shared_N = random.normal(0, 0.55**0.5, n)
        first, second = (
            one_side(classes("accuracy", 0.8, spread), n, seeds, lead, random, labels, shared_N)
            for seeds, spread, lead in zip(sides, spreads, (better, 0.0), strict=True)
        )
        d = difference(first, second, trained=(sides[0] > 0, sides[1] > 0))
        found.append(d.is_shown and d.p <= 0.05 and not d.one_training)
    return float(np.mean(found))


SIDES = ((2, 0), (2, 2), (2, 5), (3, 0), (3, 3), (5, 5))
SPREADS = ((0.0, 0.0), (0.007, 0.007), (0.025, 0.025), (0.007, 0.025), (0.025, 0.007))


# Those of earlier results too.
SHARED_SPREADS = [list(spreads) for spreads in SPREADS[:4]]


def table(record: dict) -> str:
    """Show the least and the most coverage over numbers of examples, and false verdicts."""
    lines = ["| metric | level | " + " | ".join(f"{s} seed{'s' * (s > 1)}" for s in SEEDS) + " |"]
    lines.append("|---|---|" + "---|" * len(SEEDS))
    for metric in dict.fromkeys(r["metric"] for r in record["intervals"]):
        for level in LEVELS:
            cells = []
            for seeds in SEEDS:
                found = [
                    r
                    for r in record["intervals"]
                    if (r["metric"], r["level"], r["seeds"]) == (metric, level, seeds)
                ]
                cells.append(_range(found) if found else "")
            lines.append(f"| {metric} | {level} | " + " | ".join(cells) + " |")
    spreads = list(dict.fromkeys(tuple(r["spreads"]) for r in record["verdicts"]))
    lines += ["", "| trainings | n | " + " | ".join(map(_points, spreads)) + " | power for 4 points |"]
    lines.append("|---|---|" + "---|" * (len(spreads) + 1))
    for sides, n in dict.fromkeys((tuple(r["sides"]), r["n"]) for r in record["verdicts"]):
        rows = [r for r in record["verdicts"] if (tuple(r["sides"]), r["n"]) == (sides, n)]
        cells = [f"{r['false']:.3f}" for r in rows] + [f"{rows[1]['power']:.2f}"]
        lines.append(f"| {_trainings(sides)} | {n} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _range(rows: list[dict]) -> str:
    """Return the least and the most coverage, and where it misses its target."""
    shares = [row["coverage"] for row in rows]
    missing = [
        f"{row['misses']} at n {row['n']}" + (", where few examples decide" if row[FEW] else "")
        for row in rows
        if row.get("misses")
    ]
    return f"{min(shares):.3f} to {max(shares):.3f}" + (f" ({'; '.join(missing)})" if missing else "")


def summary(record: dict) -> dict:
    """Return the least, mean and most coverage by seeds, and the largest share of false verdicts."""
    intervals = {}
    for seeds in SEEDS:
        rows = [r for r in record["intervals"] if r["seeds"] == seeds]
        found = [r["coverage"] for r in rows]
        outside = sum(not TARGET[0] <= share <= TARGET[1] for share in found)
        missing = [r for r in rows if r.get("misses")]
        intervals[str(seeds)] = {
            "least": min(found),
            "mean": float(np.mean(found)),
            "most": max(found),
            "regimes": len(found),
            "outside 0.93 to 0.97": outside,
            "outside by more than the simulation's error": len(missing),
            "of these where few examples decide": sum(r[FEW] for r in missing),
        }
    decided = [r for r in record["verdicts"] if 1 not in r["sides"]]
    like = [r for r in decided if r["spreads"][0] == r["spreads"][1]]
    unlike = [r for r in decided if r not in like]
    return {
        "times": record["times"],
        "coverage by seeds": intervals,
        "false verdicts at most": {
            name: max(r["false"] for r in rows) for name, rows in (("like", like), ("unlike", unlike))
        },
        "mean power": float(np.mean([r["power"] for r in decided if r["spreads"] in SHARED_SPREADS])),
    }


def _points(spreads: tuple[float, float]) -> str:
    return "sd " + " against ".join(f"{100 * s:g}" for s in dict.fromkeys(spreads))


def _trainings(sides: tuple[int, int]) -> str:
    return f"{sides[0]} against {sides[1] or 'a method without seeds'}"


def simulated_verdicts(times: int, random: np.random.Generator) -> list[dict]:
    """Return how often verdicts are false, and how often they find four points of accuracy."""
    return [
        {
            "sides": list(sides),
            "n": n,
            "spreads": list(spreads),
            "false": decided(n, sides, spreads, 0.0, 2 * times, random),
            "power": decided(n, sides, spreads, 0.04, times // 4, random),
        }
        for sides in SIDES
        for n in (277, 872, 5000)
        for spreads in SPREADS
    ]


def read() -> dict:
    return json.loads(OUTPUT.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--times", type=int, default=1000, help="samples of each regime")
    parser.add_argument("--examples", nargs="+", type=int, default=list(EXAMPLES))
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--before", type=Path, help="results of another method, to keep a summary of")
    parser.add_argument(
        "--keep-verdicts",
        action="store_true",
        help="simulate intervals alone: for changes that leave differences as they are",
    )
    given = parser.parse_args()
    random = np.random.default_rng(0)
    before = json.loads(given.before.read_text()) if given.before else None
    record = {"hardware": describe_hardware(), "versions": versions(), "times": given.times}
    record["monte_carlo_error"] = (0.95 * 0.05 / given.times) ** 0.5
    record["intervals"] = [
        {"metric": metric, "level": level, "n": n, "seeds": seeds}
        | covered(law, n, seeds, given.times, random)
        for (metric, level), law in laws().items()
        for n in given.examples
        for seeds in SEEDS
    ]
    kept = read() if given.keep_verdicts else {}
    record["verdicts"] = kept["verdicts"] if kept else simulated_verdicts(given.times, random)
    made = {name: record[name] for name in ("times", "hardware", "versions")}
    record["verdicts made with"] = (
        kept.get("verdicts made with", {n: kept[n] for n in made}) if kept else made
    )
    record["summary"] = summary(record)
    record["summary_before"] = summary(before) if before else read().get("summary_before")
    write_records(record, given.output)
    print(table(record))


if __name__ == "__main__":
    main()
