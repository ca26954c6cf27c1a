"""Data set checksum."""

import hashlib
import os.path as osp

import numpy as np

from hetkd.utils.digest import file_digest
from hetkd.utils.spread import evenly_spread

FILES = 100
"""How many files are read: folders of one naming scheme hold other images under the same names."""


def data_digest(dataset) -> dict:
    """Class name, size and SHA-256 of labels and images.

    Images are pixels in memory, or names of files and the content of 100 of them, evenly spread.
    """
    digest = hashlib.sha256()
    if not hasattr(dataset, 'get_data_info'):
        return dict(type=type(dataset).__name__, images=len(dataset))
    read = set(evenly_spread(FILES, len(dataset)))
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        image = info.get('img')
        digest.update(str(info.get('gt_label')).encode())
        if info.get('gt_score') is not None:
            digest.update(np.asarray(info['gt_score'], np.float32).tobytes())
        path = str(info.get('img_path'))
        digest.update(
            np.ascontiguousarray(image).tobytes() if image is not None else osp.basename(path).encode()
        )
        if image is None and i in read and osp.isfile(path):
            digest.update(file_digest(path).encode())
    return dict(type=type(dataset).__name__, images=len(dataset), digest=digest.hexdigest())
