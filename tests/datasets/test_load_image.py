"""LoadImage: pixels equal to mmcv's, and errors that name a broken file."""

import re

import mmcv
import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader

from hetkd.errors import UserError
from hetkd.registry import DATASETS, TRANSFORMS


@pytest.fixture
def good(tmp_path):
    path = tmp_path / 'good.jpg'
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def broken(good):
    """Broken image files of several kinds."""
    content = good.read_bytes()
    files = {'cut.jpg': content[: len(content) // 2], 'empty.jpg': b'', 'text.jpg': b'<html>not found</html>'}
    for name, data in files.items():
        (good.parent / name).write_bytes(data)
    return good.parent


def load(path, **options):
    return TRANSFORMS.build(dict(type='LoadImage', **options)).transform(dict(img_path=str(path)))


def test_a_whole_image_is_what_mmcv_reads_with_pillow(good):
    results = load(good)
    assert np.array_equal(results['img'], mmcv.imread(str(good), backend='pillow'))
    with Image.open(good) as image:
        assert np.array_equal(results['img'][..., ::-1], np.asarray(image)), 'BGR'
    assert results['img_shape'] == results['ori_shape'] == (48, 64)


@pytest.mark.parametrize('mode', ['L', 'CMYK', 'P', 'RGBA'])
def test_other_modes_give_three_channels(mode, tmp_path):
    path = tmp_path / ('x.jpg' if mode in ('L', 'CMYK') else 'x.png')
    Image.new('RGB', (8, 6), (200, 10, 10)).convert(mode).save(path)
    image = load(path)['img']
    assert image.shape == (6, 8, 3) and image.dtype == np.uint8


@pytest.mark.parametrize(
    'name, reason',
    [
        ('cut.jpg', 'image file is truncated'),
        ('empty.jpg', 'cannot identify image file'),
        ('text.jpg', 'cannot identify image file'),
        ('none.jpg', '.Errno 2. No such file'),
    ],
)
def test_a_file_that_cannot_be_read_is_named(name, reason, broken):
    message = 'expected a whole image, got one that cannot be read'
    path = re.escape(str(broken / name))
    expected = rf'^{path}: {message} \({reason}.*\); fetch the data set again, .*CONFIG --check-images`$'
    with pytest.raises(UserError, match=expected):
        load(broken / name)


def test_a_worker_tells_the_main_process_the_name(broken):
    pipeline = [dict(type='LoadImage'), dict(type='Resize', scale=16), dict(type='PackInputs')]
    (broken / 'list.txt').write_text('good.jpg 0\ncut.jpg 1\n')
    dataset = DATASETS.build(
        dict(type='CustomDataset', data_root=str(broken), ann_file='list.txt', pipeline=pipeline)
    )
    batches = iter(DataLoader(dataset, batch_size=1, num_workers=1, collate_fn=pseudo_collate))
    assert tuple(next(batches)['inputs'][0].shape) == (3, 16, 16)
    with pytest.raises(UserError, match=f'{broken}/cut.jpg: expected a whole image.*image file is truncated'):
        next(batches)
