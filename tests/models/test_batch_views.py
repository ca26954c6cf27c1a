"""Views of whole batches, beside mmpretrain's of single images."""

import math

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample
from PIL import Image

from hetkd.clock import own_clock, set_clock
from hetkd.errors import UserError
from hetkd.models.preprocessors import BatchRandomResizedCrop, BatchViewPreprocessor
from hetkd.registry import BATCH_AUGMENTS, TRANSFORMS
from hetkd.seeding import seeded, uniform

CROP = dict(type='BatchRandomResizedCrop', scale=48)
FILTERS = dict(bilinear=Image.Resampling.BILINEAR, bicubic=Image.Resampling.BICUBIC)


def images_of(count, height=32, width=32):
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(256, size=(count, 3, height, width), dtype=np.uint8))


def batch_of(images, index=None):
    index = range(len(images)) if index is None else index
    return dict(
        inputs=images,
        data_samples=[DataSample(metainfo=dict(sample_idx=i)).set_gt_label(i % 3) for i in index],
    )


@pytest.fixture(autouse=True)
def clock(scope):
    """The first epoch of seed 0."""
    set_clock(0, 0)


def preprocessor(**kwargs):
    return BatchViewPreprocessor(num_classes=3, **kwargs)


def views_of(part, images, index=None, training=True):
    return part(batch_of(images, index), training)['inputs'].clone()


# --- the law of the random crop


@pytest.mark.parametrize('size', [(32, 32), (24, 60), (60, 20)])
@pytest.mark.parametrize('ratio', [(0.08, 1.0), (0.6, 0.9)])
def test_crops_have_mmpretrains_statistics(size, ratio):
    """Means and deviations of both, and how often the whole width or height is taken; 4.5 sigma."""
    count = 4000
    theirs = TRANSFORMS.build(dict(type='RandomResizedCrop', scale=8, crop_ratio_range=ratio))
    with seeded(0):
        expected = np.array([theirs.rand_crop_params(np.zeros((*size, 3))) for _ in range(count)])
    ours = BatchRandomResizedCrop(8, crop_ratio_range=ratio)
    got = torch.stack(ours.boxes(size, uniform((0, 0), range(count), ours.draws)), 1).numpy()
    assert (got == got.round()).all() and (got[:, :2] >= 0).all() and (got[:, 2:] > 0).all()
    assert (got[:, :2] + got[:, 2:] <= size).all()
    for a, b in zip(statistics(got, size), statistics(expected, size)):
        assert abs(a.mean() - b.mean()) <= 4.5 * math.sqrt((a.var() + b.var()) / count) + 1e-9
        if not set(a) <= {0, 1}:  # a share's deviation says what its mean says
            assert a.std() == pytest.approx(b.std(), rel=0.07, abs=1e-9)


def statistics(boxes, size):
    top, left, height, width = np.asarray(boxes, float).T
    yield height * width / (size[0] * size[1])
    yield np.log(width / height)
    yield top
    yield left
    yield top + height / 2
    yield left + width / 2
    yield (height == size[0]).astype(float)
    yield (width == size[1]).astype(float)


def test_a_crop_that_never_fits_is_the_middle():
    """Both rules of the fallback, beside mmpretrain's."""
    for size in ((10, 400), (400, 10), (20, 20)):
        theirs = TRANSFORMS.build(dict(type='RandomResizedCrop', scale=8, crop_ratio_range=(1.5, 1.5)))
        ours = BatchRandomResizedCrop(8)
        ours.crop_ratio_range = (1.5, 1.5)
        boxes = torch.stack(ours.boxes(size, uniform((0,), range(20), ours.draws)), 1)
        assert boxes.tolist() == [list(theirs.rand_crop_params(np.zeros(size)))] * 20


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(crop_ratio_range=(8, 100)), 'crop_ratio_range: expected two shares'),
        (dict(crop_ratio_range=(0.5, 0.2)), 'crop_ratio_range: expected two shares'),
        (dict(flip=50.0), 'flip: expected a number <= 1, got 50'),
    ],
)
def test_shares_are_no_percentages(change, message):
    with pytest.raises(UserError, match=message):
        BATCH_AUGMENTS.build(dict(type='BatchRandomResizedCrop', scale=8, **change))


# --- views of single images


@pytest.mark.parametrize('flip', [0.0, 0.5, 1.0])
@pytest.mark.parametrize('filters', [('bilinear',), ('bicubic',), ('bilinear', 'bicubic')])
def test_a_view_is_pillows_of_its_box(filters, flip):
    images, size = images_of(200), 40
    part = preprocessor(train_view=dict(CROP, scale=size, interpolations=filters, flip=flip))
    views = views_of(part, images)
    boxes = torch.stack(
        part.train_view.boxes((32, 32), uniform((0, 0), range(200), part.train_view.draws)), 1
    )
    seen = []
    for image, view, (top, left, height, width) in zip(images, views, boxes.int().tolist()):
        whole = Image.fromarray(image.permute(1, 2, 0).numpy())
        crop = whole.crop((left, top, left + width, top + height))
        for name in filters:
            resized = torch.from_numpy(np.array(crop.resize((size, size), FILTERS[name]))).permute(2, 0, 1)
            for flipped in (False, True):
                expected = resized.flip(-1) if flipped else resized
                if (view - expected).abs().max() <= 2:
                    seen.append((name, flipped))
                    break
            else:
                continue
            break
    assert len(seen) == 200
    flips = np.mean([flipped for _, flipped in seen])
    assert abs(flips - flip) <= 4 * math.sqrt(flip * (1 - flip) / 200)
    assert {name for name, _ in seen} == set(filters)
    if len(filters) == 2:
        assert abs(np.mean([name == 'bicubic' for name, _ in seen]) - 0.5) < 4 * 0.5 / math.sqrt(200)


def test_the_mean_image_is_that_of_the_per_image_pipeline():
    """Over 4,000 views of a real-looking image: within 2 levels on average (the error of the mean is 1)."""
    y, x = np.mgrid[:32, :32] / 31
    image = np.stack([255 * y, 255 * x * y, 127 + 120 * np.sin(6 * y)], 2).round().astype(np.uint8)
    crop = dict(type='RandomResizedCrop', scale=24, crop_ratio_range=(0.08, 1.0), backend='pillow')
    crops = [[dict(crop, interpolation=name)] for name in FILTERS]
    flip = dict(type='RandomFlip', prob=0.5, direction='horizontal')
    pipeline = TRANSFORMS.build(
        dict(type='RandomSeeded', transforms=[dict(type='RandomChoice', transforms=crops), flip])
    )
    theirs = np.stack([pipeline(dict(img=image, sample_idx=i))['img'] for i in range(4000)])
    part = preprocessor(train_view=dict(CROP, scale=24))
    ours = views_of(part, torch.from_numpy(image).permute(2, 0, 1).expand(4000, -1, -1, -1))
    theirs = torch.from_numpy(theirs).permute(0, 3, 1, 2).float()
    assert (ours.mean(0) - theirs.mean(0)).abs().mean() < 2
    assert (ours.std(0) - theirs.std(0)).abs().mean() < 2
    assert (ours.mean(0) - ours.mean(0).flip(-1)).abs().mean() < 2, 'half of them are mirrored'


def test_shifted_views_are_slices_of_the_framed_image():
    images, padding = images_of(3000, 8, 8), 2
    framed = np.pad(images.numpy(), ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    for flip in (0.0, 0.5, 1.0):
        views = views_of(
            preprocessor(train_view=dict(type='BatchRandomCrop', padding=padding, flip=flip)), images
        )
        seen = []
        for frame, view in zip(framed, views.numpy()):
            found = [
                (top, left, flipped)
                for top in range(5) for left in range(5) for flipped in (False, True)
                if (frame[:, top : top + 8, left : left + 8][..., :: -1 if flipped else 1] == view).all()
            ]  # fmt: skip
            assert len(found) == 1
            seen += found
        top, left, flipped = np.array(seen).T
        assert abs(flipped.mean() - flip) <= 4 * math.sqrt(flip * (1 - flip) / 3000)
        counts = np.bincount(top * 5 + left, minlength=25)
        assert ((counts - 120) ** 2 / 120).sum() < 60  # chi squared of 24 degrees: 1 in 10,000


@pytest.mark.parametrize('name', FILTERS)
def test_a_shifted_view_is_resized_as_mmpretrain_does_it(name):
    view = dict(type='BatchRandomCrop', padding=2)
    images = images_of(6, 16, 16)
    plain = views_of(preprocessor(train_view=view), images)
    ours = views_of(preprocessor(train_view=dict(view, resize=48, interpolation=name)), images)
    resize = TRANSFORMS.build(
        dict(type='ResizeEdge', scale=48, edge='short', backend='pillow', interpolation=name)
    )
    theirs = [resize(dict(img=x.permute(1, 2, 0).numpy().astype(np.uint8)))['img'] for x in plain]
    theirs = torch.from_numpy(np.stack(theirs)).permute(0, 3, 1, 2).float()
    assert ours.shape == theirs.shape == (6, 3, 48, 48)
    assert (ours.round() - theirs).abs().max() <= 1


@pytest.mark.parametrize('name', FILTERS)
@pytest.mark.parametrize('size', [(32, 32), (64, 64), (48, 36), (30, 50)])
@pytest.mark.parametrize('resize, crop', [(256, 224), (64, 64)])
def test_the_test_view_is_mmpretrains(resize, crop, size, name):
    transforms = [
        dict(type='ResizeEdge', scale=resize, edge='short', backend='pillow', interpolation=name),
        dict(type='CenterCrop', crop_size=crop),
    ]
    transforms = [TRANSFORMS.build(x) for x in transforms]
    images = images_of(4, *size)
    view = dict(type='BatchResizeCentreCrop', resize=resize, crop=crop, interpolation=name)
    got = views_of(preprocessor(test_view=view), images, training=False)
    for image, one in zip(images, got):
        data = dict(img=image.permute(1, 2, 0).numpy())
        for transform in transforms:
            data = transform(data)
        assert (torch.from_numpy(data['img']).permute(2, 0, 1) - one.round()).abs().max() <= 1


@pytest.mark.parametrize(
    'config, message',
    [
        (dict(CROP, interpolations=('lanczos',)), "interpolation: expected one of .*got 'lanczos'"),
        (
            dict(type='BatchResizeCentreCrop', resize=9, crop=9, interpolation='nearest'),
            "interpolation: expected one of .*got 'nearest'",
        ),
        (
            dict(type='BatchResizeCentreCrop', resize=9, crop=10),
            'crop: expected at most the 9 pixels.*got 10',
        ),
    ],
)
def test_options_that_no_view_has_are_refused(config, message):
    with pytest.raises(UserError, match=message):
        BATCH_AUGMENTS.build(config)


# --- the preprocessor


@pytest.mark.parametrize('view', [CROP, dict(type='BatchRandomCrop', padding=4)])
def test_a_view_depends_on_seed_epoch_and_index_alone(view):
    images = images_of(8)
    whole = views_of(preprocessor(train_view=view), images)
    part = preprocessor(train_view=view)
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    few = views_of(part, images[[5, 2]], [5, 2])
    assert torch.equal(torch.rand(2), expected), 'the process draws nothing'
    # Sums of products of another shape may be ordered otherwise.
    assert torch.allclose(few, whole[[5, 2]], atol=1e-3)
    assert not torch.allclose(views_of(part, images[[5, 2]], [6, 2])[0], whole[5], atol=1)
    for other in ((0, 1), (1, 0)):
        set_clock(*other)
        assert not torch.allclose(views_of(part, images), whole, atol=1)


def test_views_are_normalised_and_both_collates_do():
    images = images_of(4)
    mean, std = [120.0, 110, 100], [60.0, 55, 50]
    for view in (CROP, dict(type='BatchRandomCrop', padding=4), None):
        plain = views_of(preprocessor(train_view=view), images)
        part = preprocessor(train_view=view, mean=mean, std=std)
        got = views_of(part, images)
        mean_, std_ = (torch.tensor(x).view(3, 1, 1) for x in (mean, std))
        assert torch.allclose(got * std_ + mean_, plain, atol=1e-3)
        assert torch.equal(views_of(part, list(images)), got)
        assert got.dtype == torch.float32


def test_training_and_testing_have_views_of_their_own():
    images = images_of(4)
    part = preprocessor(train_view=CROP, test_view=dict(type='BatchResizeCentreCrop', resize=20, crop=16))
    assert views_of(part, images).shape == (4, 3, 48, 48)
    assert views_of(part, images, training=False).shape == (4, 3, 16, 16)
    part = preprocessor(train_view=CROP)
    assert torch.equal(views_of(part, images, training=False), images.float())


def test_views_are_mixed_after_they_are_made():
    images = images_of(4)
    plain = views_of(preprocessor(train_view=CROP), images)
    part = preprocessor(train_view=CROP, batch_augments=dict(augments=[dict(type='Mixup', alpha=1.0)]))
    data = part(batch_of(images), True)
    scores = torch.stack([x.gt_score for x in data['data_samples']])
    assert scores.shape == (4, 3) and not torch.equal(data['inputs'], plain)
    # Each is a mixture of two views with one share.
    share = [((data['inputs'][0] - plain[j]) / (plain[0] - plain[j])).nanmedian() for j in range(1, 4)]
    fits = [
        torch.allclose(w * plain[0] + (1 - w) * plain[j], data['inputs'][0], atol=1e-2)
        for j, w in enumerate(share, 1)
    ]
    assert any(fits) or torch.allclose(data['inputs'][0], plain[0])


def test_a_batch_in_use_is_never_overwritten_and_a_dropped_one_is_used_again():
    part, images = preprocessor(train_view=CROP), images_of(4)
    first = part(batch_of(images), True)['inputs']
    view, before = first[1:2].detach(), first.clone()
    address = first.data_ptr()
    del first
    second = part(batch_of(images, [7, 8, 9, 10]), True)['inputs']
    assert second.data_ptr() != address and torch.equal(view, before[1:2])
    weight = torch.ones(1, requires_grad=True)
    loss = (second * weight).sum()
    address = second.data_ptr()
    expected = second.sum()
    del second
    assert part(batch_of(images), True)['inputs'].data_ptr() != address, 'the graph holds it'
    loss.backward()
    assert torch.allclose(weight.grad, expected)
    third = part(batch_of(images), True)['inputs']
    address = third.data_ptr()
    del third
    assert part(batch_of(images, [7, 8, 9, 10]), True)['inputs'].data_ptr() == address


def test_what_cannot_be_repeated_is_refused():
    unset = pytest.raises(UserError, match='expected the epoch to be set, got none; keep epoch_seed')
    with own_clock(), unset:
        views_of(preprocessor(train_view=CROP), images_of(2))
    with pytest.raises(UserError, match='expected samples with sample_idx'):
        preprocessor(train_view=CROP)(dict(inputs=images_of(2), data_samples=[DataSample()] * 2), True)
    with pytest.raises(UserError, match='test_view: expected a view that is not random'):
        preprocessor(test_view=CROP)
    with pytest.raises(UserError, match='expected to_rgb=False, since InMemory gives RGB'):
        preprocessor(to_rgb=True)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU')
def test_views_are_the_same_on_a_gpu():
    images = images_of(64)
    for view in (dict(CROP, scale=224), dict(type='BatchRandomCrop', padding=4)):
        part = preprocessor(train_view=view, mean=[120.0] * 3, std=[60.0] * 3)
        expected = views_of(part, images)
        assert torch.allclose(views_of(part.to('cuda'), images).cpu(), expected, atol=1.01 / 60)
