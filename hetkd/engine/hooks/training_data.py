"""Hand the training labels to modules that need them."""

import numpy as np
import torch
from mmengine.dataset import ClassBalancedDataset, ConcatDataset, RepeatDataset
from mmengine.hooks import Hook

from hetkd.datasets import asks_for_unlabelled
from hetkd.errors import UserError
from hetkd.registry import HOOKS


@HOOKS.register_module()
class TrainingDataHook(Hook):
    """Give the labels of the training set to every part of the model that has ``prepare_data(labels)``.

    CRD's memory banks get their size so. It happens before weights are loaded, so that a resumed run finds
    the banks of its checkpoint.

    Raises:
        UserError: such a part, and a data set in which an image has no single place or label.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner) -> None:
        """Read the labels, where someone wants them."""
        if runner.train_loop is None:
            return
        parts = [part for part in runner.model.modules() if hasattr(part, 'prepare_data')]
        if not parts:
            return
        labels = labels_of(runner.train_loop.dataloader.dataset)
        for part in parts:
            part.prepare_data(labels)


def labels_of(dataset) -> torch.Tensor:
    """Class indices (M,) of a data set's images, in the order of their ``sample_idx``; -1 without a label."""
    while isinstance(dataset, (RepeatDataset, ClassBalancedDataset)):
        dataset = dataset.dataset
    check_places(dataset, 'use a method without a memory bank')
    labels, unlabelled = [], -1 if asks_for_unlabelled(dataset) else None
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        label = np.asarray(info.get('gt_label', unlabelled))
        labels.append(label)
        if info.get('sample_idx', i) != i:
            raise UserError(
                'data',
                'each image at its own place (sample_idx)',
                f'image {info["sample_idx"]} at place {i} of {type(dataset).__name__}',
                'put the images into one data set, or use a method without a memory bank',
            )
        if label.ndim or label.dtype.kind not in 'iu':
            raise UserError(
                'data',
                'one class index (gt_label) for each image',
                repr(label.tolist()),
                'use a data set with a single label, or a method without a memory bank',
            )
    return torch.tensor([int(label) for label in labels])


def check_places(dataset, way_out: str) -> None:
    """Refuse a data set in which ``sample_idx`` does not name one image.

    Raises:
        UserError: several data sets in one, or something that tells nothing of its images.
    """
    if isinstance(dataset, ConcatDataset) or not hasattr(dataset, 'get_data_info'):
        raise UserError(
            'data',
            'one data set whose images have places of their own (sample_idx)',
            type(dataset).__name__,
            f'put the images into one data set, or {way_out}',
        )
