"""Plot of HCD's sub-logits."""

import numpy as np

from .figure import EXTRA, STUDENT, TEACHER, new_figure, save
from .heat_map import Panel, draw_panel


def sub_logits(
    path, similarity: np.ndarray, fused: np.ndarray, raw: np.ndarray, student: float, teacher: float
) -> None:
    """Similarity of the sub-logits, and the accuracy of each beside that of the nets.

    Args:
        path: file to write.
        similarity: (S n, S n) cosines between the n sub-logits of the S stages.
        fused, raw: (S, n) accuracies with and without the teacher's logits, in percent.
        student, teacher: accuracies of the nets.
    """
    stages, count = fused.shape
    figure = new_figure(9.2, 4.2)
    left, right = figure.subplots(1, 2)
    names = [f'{i}.{j}' for i in range(1, stages + 1) for j in range(1, count + 1)]
    draw_panel(left, Panel('cosine without the true class', similarity, (-1, 1)), names, names)
    left.tick_params(axis='x', rotation=90)
    for border in range(1, stages):
        left.axhline(border * count - 0.5, color='black', linewidth=0.8)
        left.axvline(border * count - 0.5, color='black', linewidth=0.8)
    left.set(xlabel='stage.sub-logit', ylabel='stage.sub-logit')
    places = np.arange(stages * count)
    right.bar(places - 0.2, fused.ravel(), 0.4, color=EXTRA, label="fused with the teacher's logits")
    right.bar(places + 0.2, raw.ravel(), 0.4, color='#b8c4d6', label='alone')
    right.axhline(teacher, color=TEACHER, label=f'teacher {teacher:.1f}')
    right.axhline(student, color=STUDENT, label=f'student {student:.1f}')
    right.set_xticks(places, names, rotation=90, fontsize='small')
    right.set(xlabel='stage.sub-logit', ylabel='top-1, %', ylim=(0, 100))
    right.legend(loc='lower center', bbox_to_anchor=(0.5, 1), ncols=2, frameon=False, fontsize='small')
    save(figure, path)
