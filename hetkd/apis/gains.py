"""Differences between runs of two configs, paired by their seeds, and whether they exceed the noise."""

import math
import statistics
from typing import Mapping

LEVEL = 0.05


def gain(values: Mapping[int, float], others: Mapping[int, float]) -> str:
    """The mean difference over the seeds that both have, as a text; empty where they share none.

    From three seeds on it has the p value of a paired t-test; from p = 0.05 on it is *within noise*. Two
    seeds are within noise where the difference is not above the larger of the standard deviations. One seed
    has no spread.

    Args:
        values: a metric by seed.
        others: the one to compare with, by seed.
    """
    seeds = sorted(values.keys() & others.keys())
    differences = [values[seed] - others[seed] for seed in seeds]
    if not seeds:
        return ''
    mean = statistics.mean(differences)
    text = f'{mean:+.2f}'
    if len(seeds) == 1:
        return f'{text} (one seed)'
    if len(seeds) == 2:
        spread = max(statistics.stdev(x[seed] for seed in seeds) for x in (values, others))
        return text if abs(mean) > spread else f'{text}, within noise'
    p = p_value(differences)
    return f'{text} (p {p:.2g})' if p < LEVEL else f'{text}, within noise (p {p:.2g})'


def p_value(differences: list[float]) -> float:
    """Of the two-sided t-test that the mean of some differences is zero."""
    from scipy.stats import t

    mean, spread = statistics.mean(differences), statistics.stdev(differences)
    if spread == 0:
        return float(mean == 0)
    count = len(differences)
    return float(2 * t.sf(abs(mean) / (spread / math.sqrt(count)), count - 1))
