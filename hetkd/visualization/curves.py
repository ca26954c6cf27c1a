"""Line plots of logged quantities."""

from typing import Mapping, Optional, Sequence

from matplotlib.lines import Line2D

from .figure import draw_curve, new_figure, save


def curves(
    path,
    runs: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]],
    keys: Sequence[str],
    title: Optional[str] = None,
    size: tuple[float, float] = (9, 5),
) -> None:
    """Line plots: one panel per quantity, one line per run.

    Args:
        path: file to write.
        runs: epochs and values by quantity by run; a run may lack some.
        keys: the quantities, in the order of the panels.
        title: title of the figure.
        size: size of the figure, in inches.
    """
    columns = min(3, len(keys))
    rows = -(-len(keys) // columns)
    figure = new_figure(*size)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, key in zip(panels, keys):
        for number, found in enumerate(runs.values()):
            if key in found:
                draw_curve(axes, *found[key], color=f'C{number % 10}')
        axes.set_title(key, fontsize='medium')
        axes.grid(alpha=0.3)
    for axes in list(panels)[len(keys) :]:
        axes.set_visible(False)
    lines = [_legend_line(number) for number in range(len(runs))]
    figure.legend(lines, list(runs), loc='outside lower center', ncols=min(3, len(runs)), fontsize='small')
    if title:
        figure.suptitle(title)
    save(figure, path)


def _legend_line(number: int):
    """Legend entry of a run."""
    return Line2D([], [], color=f'C{number % 10}', linewidth=2)
