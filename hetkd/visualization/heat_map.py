"""Heat maps."""

from typing import NamedTuple, Optional, Sequence

import numpy as np

from .figure import new_figure, save

# Largest number of rows or columns with names, and of cells with numbers.
MAX_NAMES, MAX_NUMBERS = 20, 64


class Panel(NamedTuple):
    """A heat map's title, values and colour limits."""

    title: str
    """Above the map."""
    values: np.ndarray
    """(rows, columns)."""
    limits: Optional[tuple[float, float]] = None
    """Of the colours; default: smallest and largest value. Limits (-x, x) get a diverging colour map."""


def heat_maps(
    path,
    panels: Sequence[Panel],
    x_label: str = '',
    y_label: str = '',
    x_names: Optional[Sequence[str]] = None,
    y_names: Optional[Sequence[str]] = None,
) -> None:
    """Write heat maps side by side."""
    rows, columns = np.shape(panels[0].values)
    width = max(3.0, min(3.9, 9 / len(panels)))
    figure = new_figure(width * len(panels), max(2.6, 0.85 * width * rows / columns))
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
        draw_panel(axes, panel, x_names, y_names)
        axes.set(xlabel=x_label, ylabel=y_label)
    save(figure, path)


def draw_panel(axes, panel: Panel, x_names=None, y_names=None) -> None:
    """Draw a heat map on given axes, with a colour bar."""
    values = np.asarray(panel.values)
    low, high = panel.limits or (values.min(), values.max())
    colours = 'RdBu_r' if low == -high else 'viridis'
    image = axes.imshow(values, vmin=low, vmax=high, cmap=colours, aspect='auto', interpolation='nearest')
    axes.figure.colorbar(image, ax=axes)
    axes.set_title(panel.title, fontsize='medium')
    for axis, names, count in (
        (axes.xaxis, x_names, values.shape[1]),
        (axes.yaxis, y_names, values.shape[0]),
    ):
        if names is not None and count <= MAX_NAMES:
            turned = axis is axes.xaxis and max(map(len, names)) > 3
            axis.set_ticks(range(count), list(names), rotation=90 if turned else 0, fontsize='small')
    if values.size <= MAX_NUMBERS:
        digits = 2 if np.abs(values).max() >= 0.3 else 3
        for (row, column), value in np.ndenumerate(values):
            red, green, blue, _ = image.cmap(image.norm(value))
            dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
            axes.text(
                column, row, f'{value:.{digits}f}', ha='center', va='center',
                fontsize=9 if values.shape[1] <= 6 else 7, color='white' if dark else 'black',
            )  # fmt: skip
