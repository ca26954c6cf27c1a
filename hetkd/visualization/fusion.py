"""Plot of a fusion's stage weights."""

from typing import Sequence

import numpy as np

from .figure import EXTRA, new_figure, save
from .heat_map import Panel, draw_panel


def fusion_weights(path, weights: np.ndarray, target: np.ndarray, names: Sequence[str]) -> None:
    """Mean weight of each stage, by class and by sample.

    Args:
        path: file to write.
        weights: (S, N, C), sums to 1 over the stages.
        target: (N,) true class of each sample.
        names: names of the classes.
    """
    stages = len(weights)
    figure = new_figure(9.2, 3.2)
    bars, classes, each = figure.subplots(1, 3, width_ratios=[1, 2.3, 1.3])
    by_sample = weights.mean(2)
    bars.bar(range(stages), by_sample.mean(1), yerr=by_sample.std(1), color=EXTRA, capsize=4)
    bars.axhline(1 / stages, color='grey', linestyle='--', linewidth=1)
    bars.set_title('mean, and deviation over samples', fontsize='medium')
    bars.set(xlabel='stage', ylabel='weight', xticks=range(stages), xticklabels=range(1, stages + 1))
    numbers = [str(i) for i in range(1, stages + 1)]
    draw_panel(classes, Panel('by class (logit)', weights.mean(1)), names, numbers)
    classes.set(xlabel='class', ylabel='stage')
    order = np.argsort(target, kind='stable')
    draw_panel(each, Panel('by sample, mean over classes', by_sample[:, order]), None, numbers)
    each.set(xlabel='sample, sorted by true class', ylabel='stage')
    for border in np.flatnonzero(np.diff(target[order])) if len(np.unique(target)) <= 20 else ():
        each.axvline(border + 0.5, color='white', linewidth=0.6)
    save(figure, path)
