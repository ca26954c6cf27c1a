"""Data set checksum."""

import hashlib
import os.path as osp

import numpy as np


def data_digest(dataset) -> dict:
    """Class name, size and SHA-256 of labels and images (pixels in memory, or names of files)."""
    digest = hashlib.sha256()
    if not hasattr(dataset, 'get_data_info'):
        return dict(type=type(dataset).__name__, images=len(dataset))
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        image = info.get('img')
        digest.update(str(info.get('gt_label')).encode())
        if info.get('gt_score') is not None:
            digest.update(np.asarray(info['gt_score'], np.float32).tobytes())
        digest.update(
            np.ascontiguousarray(image).tobytes()
            if image is not None
            else osp.basename(str(info.get('img_path'))).encode()
        )
    return dict(type=type(dataset).__name__, images=len(dataset), digest=digest.hexdigest())
