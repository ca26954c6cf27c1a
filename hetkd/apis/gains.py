"""Differences between runs of two configs, paired by their seeds, and whether they exceed the noise."""

import math
import statistics
from typing import Mapping, NamedTuple, Optional

LEVEL = 0.05


class Gain(NamedTuple):
    """The differences of a metric between two configs, one a seed."""

    mean: float
    spread: float
    """Standard deviation of the differences; 0 of one seed."""
    p: Optional[float]
    """Of a paired t-test; None of one seed."""
    counts: Optional[bool]
    """Whether it is more than noise; None of one seed, which has no spread."""


def gain(values: Mapping[int, float], others: Mapping[int, float]) -> Optional[Gain]:
    """The difference over the seeds that both have; None where they share none.

    It counts where the p value of a paired t-test is below 0.05, which two seeds hardly reach.

    Args:
        values: a metric by seed.
        others: the one to compare with, by seed.
    """
    seeds = sorted(values.keys() & others.keys())
    differences = [values[seed] - others[seed] for seed in seeds]
    if not seeds:
        return None
    mean = statistics.mean(differences)
    if len(seeds) == 1:
        return Gain(mean, 0.0, None, None)
    p = p_value(differences)
    return Gain(mean, statistics.stdev(differences), p, p < LEVEL)


def gain_text(found: Optional[Gain]) -> str:
    """A gain with its p value, and *within noise* where it does not count; empty for None."""
    if found is None:
        return ''
    if found.counts is None:
        return f'{found.mean:+.2f} (one seed)'
    return f'{found.mean:+.2f}{"" if found.counts else ", within noise"} (p {found.p:.2g})'


def p_value(differences: list[float]) -> float:
    """Of the two-sided t-test that the mean of some differences is zero; 1 of two equal ones."""
    from scipy.stats import t

    mean, spread = statistics.mean(differences), statistics.stdev(differences)
    if spread == 0:
        return float(mean == 0 or len(differences) == 2)
    count = len(differences)
    return float(2 * t.sf(abs(mean) / (spread / math.sqrt(count)), count - 1))
