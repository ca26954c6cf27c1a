"""Images of any mode keep their levels, or are refused by name."""

import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from hetkd.datasets import broken_images
from hetkd.errors import UserError
from hetkd.registry import DATASETS, TRANSFORMS
from tests.conftest import tool_main

# 64 levels over the whole range of 16 bits.
DEEP = (np.arange(64, dtype=np.uint16) * 1040).reshape(8, 8)
GREY = (DEEP >> 8).astype(np.uint8)
RED = (200, 10, 10)


def read(path, **options):
    """The image in RGB."""
    return TRANSFORMS.build(dict(type='LoadImage', **options)).transform(dict(img_path=str(path)))['img'][
        ..., ::-1
    ]


def tiff(path, pixels, bits=16, sample_format=1, photometric=1):
    """Write an uncompressed grey TIFF of 8 x 8 pixels."""
    if bits == 12:
        high, low = pixels[:, ::2].astype(int), pixels[:, 1::2].astype(int)
        packed = np.stack([high >> 4, (high & 15) << 4 | low >> 8, low & 255], axis=-1)
        data = packed.astype(np.uint8).tobytes()
    else:
        data = pixels.tobytes()
    tags = {256: 8, 257: 8, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: 8, 279: len(data)}
    tags[339] = sample_format
    entries = b''.join(struct.pack('<HHII', tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack('<H', len(tags)) + entries + bytes(4)
    path.write_bytes(struct.pack('<2sHI', b'II', 42, 8 + len(data)) + data + directory)


def ppm(path, kind, pixels, most):
    path.write_bytes(f'{kind} 8 8 {most}\n'.encode() + pixels.astype('>u2').tobytes())


GREYS = {
    '8 bits': lambda x: Image.fromarray(GREY).save(x),
    '16-bit PNG': lambda x: Image.fromarray(DEEP).save(x),
    '16-bit TIFF': lambda x: tiff(x, DEEP),
    '16-bit TIFF, white is zero': lambda x: tiff(x, 65535 - DEEP, photometric=0),
    '12-bit TIFF': lambda x: tiff(x, DEEP >> 4, bits=12),
    '16-bit PGM': lambda x: ppm(x, 'P5', DEEP, 65535),
    '12-bit PGM': lambda x: ppm(x, 'P5', DEEP >> 4, 4095),
    '16-bit JPEG 2000': lambda x: Image.fromarray(DEEP).save(x, 'JPEG2000'),
    '16-bit RGB PNG': lambda x: x.write_bytes(cv2.imencode('.png', np.dstack([DEEP] * 3))[1].tobytes()),
    '16-bit RGB TIFF': lambda x: x.write_bytes(cv2.imencode('.tif', np.dstack([DEEP] * 3))[1].tobytes()),
}


@pytest.mark.parametrize('kind', GREYS)
def test_grey_keeps_its_levels(kind, tmp_path):
    path = tmp_path / ('x.png' if kind == '8 bits' or 'PNG' in kind else 'x')
    GREYS[kind](path)
    image = read(path)
    assert image.dtype == np.uint8 and len(np.unique(image)) == 64
    # A maximum of 4095 in a PGM is rounded to 65535 by pillow.
    tolerance = 1 if kind == '12-bit PGM' else 0
    assert np.abs(image.astype(int) - GREY[..., None]).max() <= tolerance


def test_the_decoder_and_the_number_of_channels_are_the_users(tmp_path):
    Image.fromarray(DEEP).save(tmp_path / 'x.png')
    assert np.array_equal(read(tmp_path / 'x.png', imdecode_backend='cv2'), np.dstack([GREY] * 3))
    assert np.array_equal(read(tmp_path / 'x.png', color_type='grayscale')[:, ::-1], GREY)
    assert read(tmp_path / 'x.png', to_float32=True).dtype == np.float32


def palette(x, **options):
    image = Image.new('P', (8, 8), 1)
    image.putpalette([0, 0, 0, *RED])
    image.save(x, **options)


COLOURS = {
    'palette': (palette, RED, 0),
    'palette with transparency': (lambda x: palette(x, transparency=1), RED, 0),
    'RGBA': (lambda x: Image.new('RGBA', (8, 8), (*RED, 0)).save(x), RED, 0),
    'grey': (lambda x: Image.new('L', (8, 8), 90).save(x), (90, 90, 90), 0),
    '1 bit': (lambda x: Image.new('1', (8, 8), 1).save(x), (255, 255, 255), 0),
    'CMYK': (lambda x: Image.new('RGB', (8, 8), RED).convert('CMYK').save(x, 'TIFF'), RED, 1),
    'opaque LA': (lambda x: Image.new('LA', (8, 8), (90, 255)).save(x), (90, 90, 90), 0),
    'transparent LA': (lambda x: Image.new('LA', (8, 8), (90, 0)).save(x), (124, 117, 104), 0),
}


@pytest.mark.parametrize('kind', COLOURS)
def test_colours(kind, tmp_path):
    write, colour, tolerance = COLOURS[kind]
    write(tmp_path / 'x.png')
    image = read(tmp_path / 'x.png')
    assert image.shape == (8, 8, 3) and np.abs(image.astype(int) - colour).max() <= tolerance


@pytest.mark.parametrize('deep', [False, True])
@pytest.mark.parametrize('orientation, turn', [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_the_exif_orientation_is_applied(deep, orientation, turn, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    upper = DEEP[:4] if deep else GREY[:4]
    Image.fromarray(upper).save(tmp_path / 'x.png', exif=exif)
    assert np.array_equal(read(tmp_path / 'x.png')[..., 0], np.rot90(GREY[:4], turn))


REFUSED = {
    'TIFF of mode F': lambda x: Image.fromarray(DEEP / np.float32(65535)).save(x),
    'TIFF of mode I': lambda x: tiff(x, DEEP.astype(np.uint32), bits=32),
    'signed TIFF of mode I': lambda x: tiff(x, DEEP.astype(np.int16), sample_format=2),
    'signed TIFF of mode L': lambda x: tiff(x, GREY, bits=8, sample_format=2),
}


@pytest.mark.parametrize('kind', REFUSED)
def test_values_of_unknown_range_are_refused(kind, tmp_path):
    (tmp_path / 'a').mkdir()
    path = tmp_path / 'a/x.tif'
    REFUSED[kind](path)
    expected = f'{path}: expected an unsigned one of at most 16 bits, got {kind}, whose .* convert the files'
    for backend in ('pillow', 'cv2'):
        with pytest.raises(UserError, match=expected):
            read(path, imdecode_backend=backend)
    config = dict(type='CustomDataset', data_root=str(tmp_path))
    with pytest.raises(UserError, match=expected):
        DATASETS.build(dict(type='InMemory', dataset=config))
    (found,) = broken_images(DATASETS.build(dict(config, pipeline=[])))
    assert found.startswith(f'{path}: expected an unsigned one of at most 16 bits')


def test_fetch_data_lists_them(tmp_path):
    main = tool_main('misc/fetch_data.py')
    for split in ('train', 'val'):
        (tmp_path / split / 'a').mkdir(parents=True)
        Image.fromarray(DEEP).save(tmp_path / split / 'a/0.png')
    loaders = [
        f"{split}_dataloader = dict(dataset=dict(type='CustomDataset', data_root={str(tmp_path)!r}, "
        f"data_prefix='{split}'))"
        for split in ('train', 'val')
    ]
    (tmp_path / 'config.py').write_text('\n'.join(loaders))
    main([str(tmp_path / 'config.py'), '--check-images'])
    REFUSED['TIFF of mode F'](tmp_path / 'val/a/1.tif')
    with pytest.raises(SystemExit, match='val/a/1.tif: expected an unsigned one .* TIFF of mode F'):
        main([str(tmp_path / 'config.py'), '--check-images'])


def test_images_in_memory_have_their_levels_too(tmp_path):
    (tmp_path / 'a').mkdir()
    Image.fromarray(DEEP).save(tmp_path / 'a/x.png')
    held = DATASETS.build(dict(type='InMemory', dataset=dict(type='CustomDataset', data_root=str(tmp_path))))
    assert np.array_equal(held.images[0], np.stack([GREY] * 3))


def test_arrays_in_memory_must_be_uint8(monkeypatch):
    from hetkd.datasets import Digits

    infos = Digits.load_data_list
    monkeypatch.setattr(
        Digits, 'load_data_list', lambda self: [dict(x, img=x['img'] / 255) for x in infos(self)]
    )
    with pytest.raises(UserError, match=r'expected uint8 images .* got image 0 of shape .*, float64'):
        DATASETS.build(dict(type='InMemory', dataset=dict(type='Digits')))
