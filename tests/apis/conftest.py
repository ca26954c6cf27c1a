"""A folder of images in two classes, with files of all kinds."""

import re

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT

MODES = {
    'x.png': 'RGB',
    'x.jpg': 'RGB',
    'rgba.png': 'RGBA',
    'grey.png': 'L',
    'deep.png': 'I;16',
    'x.webp': 'RGB',
}
PAGE = (ROOT / 'docs/en/tutorial.md').read_text()
(CONFIG,) = re.findall(r'^```python\n(# my_images.py\n.*?)^```$', PAGE, re.DOTALL | re.MULTILINE)
SMALL = {'train_dataloader.num_workers': 0, 'val_dataloader.num_workers': 0, 'train_cfg.max_epochs': 3}


def picture(mode, level):
    """A square of one level with a little noise, in a mode of pillow."""
    noisy = level + np.random.default_rng(0).integers(0, 30, (40, 50))
    if mode == 'I;16':
        return Image.fromarray((noisy * 257).astype(np.uint16))
    return Image.fromarray(noisy.astype(np.uint8)).convert(mode)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Files of all kinds in two classes, and the page's config with tiny nets; it is the current folder."""
    for name, level in (('dark', 20), ('light', 200)):
        for part, copies in (('train', 3), ('val', 1)):
            place = tmp_path / 'my_images' / part / name
            place.mkdir(parents=True)
            for file, mode in MODES.items():
                for i in range(copies):
                    picture(mode, level).save(place / f'{i}{file}')
    text = CONFIG.replace('vit_small_patch16_224', 'test_vit').replace('resnet18', 'test_resnet')
    text = text.replace("root='", "pretrained=False, root='")
    assert text.count('test_') == 2 and text.count('pretrained=False') == 1
    (tmp_path / 'my_images.py').write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path
