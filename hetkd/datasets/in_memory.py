"""In-memory data set of small images."""

from copy import copy
from typing import Optional, Sequence

import numpy as np
import torch
from mmpretrain.structures import DataSample
from torch.utils.data import Dataset

from hetkd.arguments import Count
from hetkd.errors import UserError
from hetkd.registry import DATASETS

from .labels import asks_for_unlabelled, check_infos, first_of_each, has_label
from .transforms import LoadImage

NO_LABEL = -1


@DATASETS.register_module()
class InMemory(Dataset):
    """All images of a data set as one uint8 tensor, from which ``BatchViewPreprocessor`` makes views.

    The images are always RGB: files are read at the start and converted from BGR. Data workers share the
    tensor with the process that forks them. Wrappers such as ``RepeatDataset`` take it by its config.

    Args:
        dataset: config of an mmengine data set without a pipeline, such as
            ``dict(type='CIFAR100', data_root='data/cifar100', split='train')``. All images must have one
            size, and one label each, or none where the data set asks for unlabelled images.
        labelled: number of images per class to keep the label of, the first ones; all others are unlabelled.
            Default: all.

    Attributes:
        images: (M, 3, H, W) uint8.
        labels: (M,) int64; -1 without a label.
        with_label: False where images may have no label.
        metainfo: the data set's own.
        kind: the data set's class.

    Raises:
        UserError: a pipeline is given, which would not be run; images differ in size, are not uint8 or do
            not have three channels; an image has several labels or none.
    """

    def __init__(self, dataset: dict, labelled: Optional[Count] = None):
        if dataset.get('pipeline'):
            raise UserError(
                'InMemory',
                'a data set without a pipeline',
                'one, which would not be run',
                'drop it (_delete_=True where a base set it) and name the views in data_preprocessor',
            )
        inner = DATASETS.build(dataset)
        self.metainfo, self.kind = inner.metainfo, type(inner).__name__
        infos = [inner.get_data_info(i) for i in range(len(inner))]
        self.with_label = not asks_for_unlabelled(inner)
        check_infos(infos, f'InMemory ({type(inner).__name__})', unlabelled=not self.with_label)
        if any(has_label(info) and 'gt_label' not in info for info in infos):
            raise UserError(
                'InMemory',
                'one class (gt_label) for each image',
                'probabilities (gt_score)',
                'use the data set with a pipeline instead (configs/_base_/datasets/*_per_image.py)',
            )
        self.labels = torch.tensor([int(np.asarray(info.get('gt_label', NO_LABEL)).item()) for info in infos])
        if labelled is not None:
            self.with_label = False
            kept = torch.from_numpy(first_of_each(self.labels.numpy(), labelled))
            self.labels = torch.full_like(self.labels, NO_LABEL).scatter(0, kept, self.labels[kept])
        # Arrays, not lists: reference counting would copy a list into every worker.
        self._paths = np.array([info['img_path'] for info in infos]) if 'img' not in infos[0] else None
        self.images = torch.empty(0, dtype=torch.uint8)
        read = LoadImage()
        for i, info in enumerate(infos):
            image = info['img'] if 'img' in info else read.transform(dict(info))['img'][..., ::-1]
            if i == 0:
                self.images = torch.empty((len(infos), 3, *image.shape[:2]), dtype=torch.uint8)
            if image.shape != (*self.images.shape[2:], 3) or image.dtype != np.uint8:
                raise UserError(
                    'InMemory',
                    'uint8 images of one size and three channels, as image 0 of '
                    f'{tuple(self.images.shape[2:])} pixels',
                    f'image {i} of shape {image.shape}, {image.dtype}',
                    'use the data set with a pipeline instead (configs/_base_/datasets/*_per_image.py)',
                )
            self.images[i] = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)

    def full_init(self) -> None:
        """No-op: the images are loaded from the start. For mmengine's wrappers."""

    def get_cat_ids(self, idx: int) -> list[int]:
        """The class of an image, for ``ClassBalancedDataset``; none of an unlabelled one."""
        return [] if self.labels[idx] == NO_LABEL else [int(self.labels[idx])]

    def get_subset(self, indices: Sequence[int]) -> 'InMemory':
        """A data set of some of the images, for ``KFoldDataset``."""
        subset, indices = copy(self), list(indices)
        subset.images, subset.labels = self.images[indices], self.labels[indices]
        subset._paths = None if self._paths is None else self._paths[indices]
        return subset

    def get_data_info(self, idx: int) -> dict:
        """Label, where there is one, and index, with the image (H, W, 3) in RGB or its path."""
        idx = range(len(self))[idx]
        info = dict(sample_idx=idx)
        if self.labels[idx] != NO_LABEL:
            info['gt_label'] = int(self.labels[idx])
        if self._paths is None:
            return dict(info, img=self.images[idx].permute(1, 2, 0).numpy())
        return dict(info, img_path=str(self._paths[idx]))

    def __getitem__(self, idx: int) -> dict:
        """As from mmpretrain's ``PackInputs``: ``inputs`` (3, H, W) uint8 and ``data_samples``."""
        idx = range(len(self))[idx]
        sample = DataSample(metainfo=dict(sample_idx=idx))
        if self.labels[idx] != NO_LABEL:
            sample.set_gt_label(self.labels[idx : idx + 1])
        return dict(inputs=self.images[idx], data_samples=sample)

    def __len__(self) -> int:
        return len(self.labels)


def unheld(config: dict) -> dict:
    """A data set's config with each ``InMemory`` replaced by its inner data set, which reads no images."""
    if config['type'] in ('InMemory', InMemory):
        return unheld(config['dataset'])
    config = dict(config)
    if 'dataset' in config:
        config['dataset'] = unheld(config['dataset'])
    if 'datasets' in config:
        config['datasets'] = [unheld(x) for x in config['datasets']]
    return config
