"""Agreement of class names and labels between data sets and nets."""

import math
from typing import Iterable, Optional, Sequence

import numpy as np

from hetkd.errors import UserError

from .wrappers import inner_datasets

SHOWN = 5
TOLERANCE = 1e-3


def class_names(dataset) -> Optional[list[str]]:
    """Class names of a data set, in the order of the labels; None if it has none.

    Looks into wrappers (``RepeatDataset``, ``ConcatDataset``, ``Subset`` and the like).

    Raises:
        UserError: the parts of a ``ConcatDataset`` have other names.
    """
    if hasattr(dataset, 'datasets'):
        known = [x for x in map(class_names, dataset.datasets) if x is not None]
        for names in known[1:]:
            check_names(known[0], names, type(dataset).__name__, 'its first part')
        return known[0] if known else None
    own = getattr(dataset, 'metainfo', {}).get('classes')
    if own is None and hasattr(dataset, 'dataset'):
        return class_names(dataset.dataset)
    return None if own is None else [str(x) for x in own]


def check_names(expected: Optional[Sequence], got: Optional[Sequence], where: str, whose: str) -> None:
    """Refuse class names that differ from the expected ones; where either is None, nothing is compared.

    Args:
        expected, got: class names, in the order of the labels.
        where: what has the names ``got``, for the message.
        whose: what has the names ``expected``, for the message.

    Raises:
        UserError: the names, or their order, differ.
    """
    if expected is None or got is None:
        return
    difference = _difference([str(x) for x in expected], [str(x) for x in got])
    if difference:
        raise UserError(
            where,
            f'the classes of {whose}, in the same order',
            f'others: {difference}',
            'Labels are numbers in this order: give all data sets the same classes (an empty folder '
            'for a class without images, or metainfo=dict(classes=[...])), and use nets trained on '
            'them',
        )


def check_net(net, dataset, where: str, whose: str) -> None:
    """Refuse a data set whose classes are not those of a net, in number or, where both are known, by name.

    Args:
        net: its ``num_classes`` (0 for none), and ``classes`` (or None) that its file records.
        dataset: the data set.
        where, whose: what the data set and the net are, for the message.

    Raises:
        UserError: number, names or order differ.
    """
    names = class_names(dataset)
    check_names(net.classes, names, where, whose)
    if names is not None and net.num_classes and len(names) != net.num_classes:
        raise UserError(
            where,
            f'{net.num_classes} classes as {whose} has',
            f'{len(names)} in {type(dataset).__name__}',
            'take the data set that it was trained on',
        )


def _difference(expected: list[str], got: list[str]) -> Optional[str]:
    """Names that are missing or too many; else the first in another place or spelling."""
    if expected == got:
        return None
    names, others = set(expected), set(got)
    missing, extra = [x for x in expected if x not in others], [x for x in got if x not in names]
    is_spelling = [x.strip().lower() for x in expected] == [x.strip().lower() for x in got]
    if (missing or extra) and not is_spelling:
        words = (('no', missing), ('also', extra))
        return ', '.join(f'{word} {_listed(names)}' for word, names in words if names)
    first = next((i for i, (a, b) in enumerate(zip(expected, got)) if a != b), None)
    if first is None:
        return f'{len(got)} classes, not {len(expected)}'
    hint = ' (case or white space)' if is_spelling else ''
    return f'class {first} is {got[first]!r}, not {expected[first]!r}{hint}'


def _listed(names: list[str]) -> str:
    more = f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''
    return ', '.join(map(repr, names[:SHOWN])) + more


def has_label(info: dict) -> bool:
    """Whether the info of an image (``get_data_info``) holds a label."""
    return info.get('gt_label') is not None or info.get('gt_score') is not None


def first_of_each(labels: np.ndarray, count: int) -> np.ndarray:
    """Places of the first ``count`` images of each class."""
    return np.concatenate([np.flatnonzero(labels == c)[:count] for c in np.unique(labels)])


def asks_for_unlabelled(dataset) -> bool:
    """Whether a data set, or one in a wrapper, says that its images may have no label: ``with_label=False``.

    mmpretrain's ``CustomDataset`` has the option; another data set sets the attribute.
    """
    return any(getattr(x, 'with_label', True) is False for x in inner_datasets(dataset))


def check_labels(dataset, where: str, unlabelled: bool = False, classes: Optional[int] = None) -> int:
    """Refuse images with several labels, or with none by mistake: a softmax net learns one class.

    Nor may a label be another number than those of the classes: accuracy would count it as a mistake.

    Args:
        dataset: a data set or a wrapper of one; those without ``get_data_info`` are not looked at.
        where: what it is, for the message.
        unlabelled: whether images may have no label, where the data set asks for it.
        classes: their number where the data set has no names of them; None or 0 where it is not known.

    Returns:
        The number of images without a label.

    Raises:
        UserError: a ``gt_label`` that is not one class, a ``gt_score`` that is no distribution, or no label.
    """
    names = class_names(dataset)
    classes = classes if names is None else len(names)
    if hasattr(dataset, 'datasets'):
        return sum(check_labels(x, where, unlabelled, classes) for x in dataset.datasets)
    if hasattr(dataset, 'get_data_info'):
        infos = (dataset.get_data_info(i) for i in range(len(dataset)))
        may_lack = unlabelled and asks_for_unlabelled(dataset)
        return check_infos(infos, f'{where} ({type(dataset).__name__})', may_lack, classes)
    if hasattr(dataset, 'dataset'):
        return check_labels(dataset.dataset, where, unlabelled, classes)
    return 0


def check_infos(
    infos: Iterable[dict], where: str, unlabelled: bool = False, classes: Optional[int] = None
) -> int:
    """:func:`check_labels` for the infos of a data set's images."""
    count = 0
    for i, info in enumerate(infos):
        problem = _label_problem(info)
        if problem:
            raise UserError(
                where,
                'one class for each image, or probabilities (gt_score) that sum to 1',
                f'{problem} for image {i}',
                'multi-label data cannot be used: choose one label for each image',
            )
        label = info.get('gt_label')
        if label is not None and not 0 <= np.asarray(label).item() < (classes or math.inf):
            raise UserError(
                where,
                f'a class (gt_label) from 0 to {classes - 1}' if classes else 'a class (gt_label) >= 0',
                f'{_short(label)} for image {i}',
                'leave gt_label out of an image without a label',
            )
        if not has_label(info):
            count += 1
            if not unlabelled:
                raise UserError(
                    where,
                    'one class (gt_label) for each image',
                    f'none for image {i}',
                    'add the label. A training set may ask for unlabelled images: with_label=False of '
                    'CustomDataset, labelled=N of Digits; validation and test measure labels',
                )
    return count


def _label_problem(info: dict) -> Optional[str]:
    """The label of an image that is not one class and no distribution; else None."""
    score, label = info.get('gt_score'), info.get('gt_label')
    if score is not None:
        values = np.asarray(score, dtype=float)
        if not (values >= 0).all() or abs(values.sum() - 1) > TOLERANCE:
            return f'gt_score={_short(score)}'
    if label is not None and np.size(label) != 1:
        return f'gt_label={_short(label)}'
    return None


def _short(values) -> str:
    text = str(np.asarray(values).tolist())
    return text if len(text) <= 60 else f'{text[:60]}...]'
