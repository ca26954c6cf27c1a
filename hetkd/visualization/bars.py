"""Stacked bar chart."""

from typing import Mapping, Sequence

from .figure import EXTRA, STUDENT, TEACHER, new_figure, save


def shares(path, rows: Mapping[str, Sequence[float]], parts: Sequence[str], texts: Mapping[str, str]) -> None:
    """Stacked bars: one per row, divided into the shares of up to three parts.

    Args:
        path: file to write.
        rows: amounts by row, in the order of the parts.
        parts: names of the parts.
        texts: text at the end of each row's bar, such as its total.
    """
    figure = new_figure(7.5, 0.55 * len(rows) + 1.1)
    axes = figure.subplots()
    for height, (name, amounts) in enumerate(rows.items()):
        start, total = 0.0, sum(amounts)
        for part, amount, colour in zip(parts, amounts, (TEACHER, STUDENT, EXTRA)):
            share = 100 * amount / total
            axes.barh(height, share, left=start, color=colour, label=part if height == 0 else None)
            if share >= 6:
                axes.text(start + share / 2, height, f'{share:.0f} %', ha='center', va='center', fontsize=8)
            start += share
        axes.text(101, height, texts[name], va='center', fontsize=8)
    axes.set(xlim=(0, 100), xlabel='share, %')
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.legend(
        ncols=len(parts), loc='lower center', bbox_to_anchor=(0.5, 1), frameon=False, fontsize='small'
    )
    axes.spines[['top', 'right']].set_visible(False)
    save(figure, path)
