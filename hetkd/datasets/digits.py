"""Handwritten digits from scikit-learn."""

from functools import cache
from typing import Optional

import numpy as np
from mmengine.dataset import BaseDataset

from hetkd.arguments import Count, Natural
from hetkd.errors import UserError
from hetkd.registry import DATASETS

from .labels import first_of_each


@cache
def _parts() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Grey images (N, 8, 8) uint8 and labels of each split; scikit-learn is imported for them alone."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    parts = train_test_split(images, digits.target, test_size=600, random_state=0, stratify=digits.target)
    return {'train': (parts[0], parts[2]), 'test': (parts[1], parts[3])}


@DATASETS.register_module()
class Digits(BaseDataset):
    """1,797 grey 8x8 images of ten digits (UCI Optical Recognition of Handwritten Digits), no download.

    The split is fixed and stratified: 1,197 images for training, 600 for testing.

    Args:
        split: ``'train'`` or ``'test'``.
        per_class: number of images per class to keep. Default: all.
        labelled: number of images per class to keep the label of; all others are unlabelled. Default: all.
        serialize_data: mmengine's copy for many workers, which two thousand small images do not need.
        **kwargs: see mmengine's ``BaseDataset``.
    """

    METAINFO = dict(classes=tuple(str(digit) for digit in range(10)))

    def __init__(
        self,
        split: str = 'train',
        per_class: Optional[Count] = None,
        labelled: Optional[Natural] = None,
        serialize_data: bool = False,
        **kwargs,
    ):
        if split not in ('train', 'test'):
            raise UserError('split', "'train' or 'test'", repr(split))
        self.split = split
        self.per_class = per_class
        self.labelled = labelled
        self.with_label = labelled is None
        super().__init__(serialize_data=serialize_data, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Images as (8, 8, 3) uint8 and labels."""
        images, labels = _parts()[self.split]
        if self.per_class is not None:
            keep = first_of_each(labels, self.per_class)
            images, labels = images[keep], labels[keep]
        found = [dict(img=np.repeat(image[..., None], 3, axis=2)) for image in images]
        for i in range(len(labels)) if self.labelled is None else first_of_each(labels, self.labelled):
            found[i]['gt_label'] = int(labels[i])
        return found

    def get_cat_ids(self, idx: int) -> list[int]:
        """The class of an image, for ``ClassBalancedDataset``; none of an unlabelled one."""
        info = self.get_data_info(idx)
        return [info['gt_label']] if 'gt_label' in info else []
