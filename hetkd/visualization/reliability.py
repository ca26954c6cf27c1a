"""Reliability diagrams (accuracy by confidence), and which net is right."""

from typing import Mapping

import numpy as np

from .figure import EXTRA, STUDENT, TEACHER, new_figure, save


def reliability(path, nets: Mapping[str, dict], groups: Mapping[str, int]) -> None:
    """Write a reliability diagram per net, and a bar of the groups of images.

    Args:
        path: file to write.
        nets: for each name ``count``, ``right`` and ``confidence`` of equally wide bins (see
            :func:`hetkd.functional.calibration_bins`), ``ece`` and ``accuracy`` in percent.
        groups: number of images by name of group, in the order of the bar.
    """
    figure = new_figure(4 * len(nets) + 1, 4.4)
    above, below = figure.subfigures(2, 1, height_ratios=[3.2, 1])
    for axes, (name, net) in zip(above.subplots(1, len(nets), squeeze=False)[0], nets.items()):
        _diagram(axes, name, net)
    legend = axes.get_legend_handles_labels()
    above.legend(*legend, loc='outside lower center', ncols=2, frameon=False, fontsize='small')
    _bar(below.subplots(), groups)
    save(figure, path)


def _diagram(axes, name: str, net: dict) -> None:
    count, right, confidence = (np.asarray(net[key], float) for key in ('count', 'right', 'confidence'))
    bins, some = len(count), count > 0
    left, width = np.arange(bins)[some] / bins, 1 / bins
    accuracy, sure = right[some] / count[some], confidence[some] / count[some]
    axes.bar(left, accuracy, width, align='edge', color=EXTRA, edgecolor='white', label='accuracy')
    axes.bar(
        left, sure - accuracy, width, accuracy, align='edge', color='none', edgecolor='#c44e52',
        hatch='///', linewidth=0.8, label='gap to confidence',
    )  # fmt: skip
    axes.plot([0, 1], [0, 1], '--', color='grey', linewidth=1)
    title = f'{name}: top-1 {net["accuracy"]:.1f} %, ECE {net["ece"]:.1f} %'
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel='confidence', ylabel='accuracy', title=title)
    axes.title.set_fontsize('medium')


def _bar(axes, groups: Mapping[str, int]) -> None:
    start, total = 0, sum(groups.values())
    for (name, count), colour in zip(groups.items(), ('#9aa5b1', TEACHER, STUDENT, '#4a4a4a')):
        axes.barh(0, count, left=start, color=colour, label=f'{name.replace("_", " ")}: {count}')
        start += count
    axes.set(xlim=(0, total), ylim=(-0.5, 0.5), yticks=[], xlabel='images')
    axes.legend(ncols=4, loc='lower center', bbox_to_anchor=(0.5, 1), frameon=False, fontsize='small')
