"""Several data sets as one, labelled and unlabelled ones."""

from typing import Sequence

import mmengine.dataset

from hetkd.registry import DATASETS

from .labels import class_names


@DATASETS.register_module()
class ConcatDataset(mmengine.dataset.ConcatDataset):
    """mmengine's, in which a part may lack class names: a folder of unlabelled images, in any place.

    Args:
        datasets: configs of the parts.
        ignore_keys: keys of ``metainfo``, beside the class names, that may differ.
        **kwargs: see mmengine's.

    Raises:
        UserError: two parts have other class names.
    """

    def __init__(self, datasets: Sequence[dict], ignore_keys: Sequence[str] = (), **kwargs):
        keys = [ignore_keys] if isinstance(ignore_keys, str) else ignore_keys
        super().__init__(datasets, ignore_keys=['classes', *keys], **kwargs)
        names = class_names(self)
        if names is not None:
            self._metainfo = dict(self._metainfo, classes=names)
