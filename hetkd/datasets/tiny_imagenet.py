"""Tiny-ImageNet."""

import os
import os.path as osp
from pathlib import Path

import mmengine.dist as dist
from mmpretrain.datasets import BaseDataset
from torchvision.datasets.utils import download_and_extract_archive

from hetkd.errors import UserError
from hetkd.registry import DATASETS

URL = 'http://cs231n.stanford.edu/tiny-imagenet-200.zip'
MD5 = '90528d7ca1a48142e341f4ef8d21d0de'
FOLDER = 'tiny-imagenet-200'


@DATASETS.register_module()
class TinyImageNet(BaseDataset):
    """Tiny-ImageNet: 200 classes, 100,000 training and 10,000 validation images of 64 x 64 pixels.

    Reads the official layout. Class indices are in the order of the sorted WordNet ids, as in a data set of
    class folders::

        tiny-imagenet-200
        ├── wnids.txt, words.txt
        ├── train/<wnid>/images/*.JPEG
        └── val/images/*.JPEG, val_annotations.txt

    Args:
        data_root: the folder ``tiny-imagenet-200``.
        split: ``'train'`` or ``'val'`` (the test images have no public labels).
        download: whether to download and unpack it beside ``data_root`` if it is absent.
        **kwargs: see mmpretrain's ``BaseDataset``.

    Raises:
        UserError: another split.
        UserError: files are missing; the first one is named.
    """

    def __init__(
        self, data_root: str = f'data/{FOLDER}', split: str = 'train', download: bool = True, **kwargs
    ):
        if split not in ('train', 'val'):
            raise UserError('split', "'train' or 'val'", repr(split))
        self.split, self.download = split, download
        super().__init__(ann_file='', data_root=data_root, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Paths and labels; sets the class names (the first word of each WordNet id) if none are given."""
        root = Path(self.data_root)
        if dist.is_main_process() and self.download and not (root / 'wnids.txt').exists():
            download_and_extract_archive(URL, str(root.parent), filename=f'{FOLDER}.zip', md5=MD5)
        dist.barrier()
        wnids = sorted(self._read('wnids.txt'))
        words = dict(line.split('\t') for line in self._read('words.txt'))
        if self.CLASSES is None:
            self._metainfo['classes'] = tuple(words[wnid].split(',')[0] for wnid in wnids)
        index = {wnid: label for label, wnid in enumerate(wnids)}
        found = self._train(wnids) if self.split == 'train' else self._val()
        return [dict(img_path=str(root / path), gt_label=index[wnid]) for path, wnid in found]

    def _train(self, wnids: list[str]) -> list[tuple[str, str]]:
        images = []
        for wnid in wnids:
            folder = osp.join('train', wnid, 'images')
            images += [(osp.join(folder, name), wnid) for name in self._list(folder)]
        return images

    def _val(self) -> list[tuple[str, str]]:
        there = set(self._list(osp.join('val', 'images')))
        lines = [line.split('\t') for line in self._read(osp.join('val', 'val_annotations.txt'))]
        missing = [name for name, *_ in lines if name not in there]
        if missing:
            self._absent(osp.join('val', 'images', missing[0]), f'{len(missing)} images, the first is ')
        return [(osp.join('val', 'images', name), wnid) for name, wnid, *_ in lines]

    def _read(self, name: str) -> list[str]:
        path = osp.join(self.data_root, name)
        if not osp.isfile(path):
            self._absent(name)
        return Path(path).read_text().strip().splitlines()

    def _list(self, name: str) -> list[str]:
        path = osp.join(self.data_root, name)
        if not osp.isdir(path) or not os.listdir(path):
            self._absent(name)
        return sorted(os.listdir(path))

    def _absent(self, name: str, count: str = '') -> None:
        raise UserError(
            'Tiny-ImageNet',
            f'{count}{osp.join(self.data_root, name)}',
            'none',
            f'unpack {URL} (md5 {MD5}) again, or set download=True if the folder is absent',
        )
