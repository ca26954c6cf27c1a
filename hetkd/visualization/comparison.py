"""Comparison plot of runs of several configs and seeds."""

from typing import Mapping, NamedTuple, Sequence

import numpy as np

from .figure import draw_curve, new_figure, save

MAX_LEGEND = 12


class Runs(NamedTuple):
    """Runs of one config, one per seed."""

    last: Sequence[float]
    """The metric after the last epoch, of the finished runs."""
    curves: Sequence[Mapping[int, float]]
    """The metric by epoch, of each run."""


def comparison(path, groups: Mapping[str, Runs], metric: str) -> None:
    """Left: last values, with standard deviation and a dot per seed. Right: curves.

    Args:
        path: file to write.
        groups: runs by the name of their config.
        metric: name of the metric.
    """
    figure = new_figure(11, max(3.5, 0.5 * len(groups) + 1.5))
    left, right = figure.subplots(1, 2)
    for row, (name, runs) in enumerate(groups.items()):
        color = f'C{row % 10}'
        if runs.last:
            spread = np.std(runs.last, ddof=1) if len(runs.last) > 1 else 0
            left.errorbar(np.mean(runs.last), row, xerr=spread, fmt='o', color=color, capsize=4)
            left.scatter(runs.last, [row] * len(runs.last), color=color, alpha=0.4, s=15)
        else:
            left.text(
                0.5, row, 'no finished run', transform=left.get_yaxis_transform(), ha='center', va='center'
            )
        for number, curve in enumerate(runs.curves):
            epochs = sorted(curve)
            label = name if number == 0 else None
            draw_curve(right, epochs, [curve[epoch] for epoch in epochs], color=color, label=label)
    left.set_yticks(range(len(groups)), list(groups))
    left.set_ylim(len(groups) - 0.5, -0.5)
    left.set(xlabel=f'{metric}, last epoch')
    left.grid(axis='x', alpha=0.3)
    right.set_ylabel(metric)
    right.grid(alpha=0.3)
    if len(groups) <= MAX_LEGEND:
        # Below the axes, where it covers no curve.
        figure.legend(
            *right.get_legend_handles_labels(), loc='outside lower center', ncols=3, fontsize='small'
        )
    save(figure, path)
