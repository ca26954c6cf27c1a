"""Scatter plots coloured by class."""

from typing import Mapping, Sequence

import numpy as np
from matplotlib import colormaps

from .figure import new_figure, save


def scatter(
    path, panels: Mapping[str, np.ndarray], labels: np.ndarray, names: Sequence[str], legend: bool = True
) -> None:
    """Scatter plots of points (N, 2), side by side, with the same class colours.

    Args:
        path: file to write.
        panels: points by title.
        labels: (N,) class indices.
        names: names of all classes.
        legend: whether to add a legend of the classes.
    """
    figure = new_figure(4 * len(panels) + (0.8 if legend else 0), 4)
    classes = np.unique(labels)
    for axes, (title, points) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items()):
        for number, label in enumerate(classes):
            mine = points[labels == label]
            colour = 'tab20' if len(classes) > 10 else 'tab10'
            axes.scatter(*mine.T, s=7, color=_colour(colour, number), label=names[label])
        axes.set(xticks=[], yticks=[], title=title)
    if legend:
        handles, texts = axes.get_legend_handles_labels()
        figure.legend(handles, texts, loc='outside right upper', fontsize='small', markerscale=2)
    save(figure, path)


def _colour(name: str, number: int):
    colours = colormaps[name].colors
    return colours[number % len(colours)]
