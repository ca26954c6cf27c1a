"""Channels and their order, from the file or the data to the net."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain import get_model
from mmpretrain.apis.model import ModelHub
from mmpretrain.models import ClsDataPreprocessor
from torch.utils.data import DataLoader

from hetkd.apis import export_student, load_config
from hetkd.apis.analysis import random_config
from hetkd.apis.complexity import random_batch
from hetkd.apis.student import file_config
from hetkd.datasets import InMemory
from hetkd.engine.hooks import InputCheckHook
from hetkd.errors import UserError
from hetkd.models.distillers.configs import build_teacher
from hetkd.models.nets import mmpretrain_net
from hetkd.registry import DATASETS, MODELS
from hetkd.testing import micro_net
from tests.conftest import ROOT

IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
# name: classes, whether its data set gives RGB, the order that its net takes.
ZOO = {
    'mobilevit-xxsmall_3rdparty_in1k': (1000, False, 'bgr'),
    'regnetx-400mf_8xb128_in1k': (1000, False, 'bgr'),
    'resnet18_8xb16_cifar10': (10, True, 'rgb'),
    'resnet18_8xb32_in1k': (1000, False, 'rgb'),
}


@pytest.fixture(params=ZOO)
def published(request, tmp_path, monkeypatch):
    """A zoo model with random weights in the place of the published ones."""
    name = request.param
    plain = MODELS.build(ModelHub.get(name).config.model).eval()
    file = str(tmp_path / 'published.pth')
    torch.save(dict(state_dict=plain.state_dict()), file)
    monkeypatch.setattr(mmpretrain_net, '_published', lambda zoo: file)
    return SimpleNamespace(name=name, plain=plain, file=file)


def image():
    """RGB, whose channels differ."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randint(0, 80, (1, 3, 64, 64), generator=generator)
    return (noise + torch.tensor([170, 60, 5]).view(1, 3, 1, 1)).to(torch.uint8)


@torch.no_grad()
def mmpretrains_logits(published, rgb):
    """mmpretrain's own preprocessor and net on the image as the model's own data set gives it."""
    given = rgb if ZOO[published.name][1] else rgb.flip(1)
    own = ClsDataPreprocessor(**ModelHub.get(published.name).config.data_preprocessor)
    return published.plain(own(dict(inputs=given))['inputs'])


def test_a_pretrained_teacher_sees_what_mmpretrains_net_sees(published):
    classes, _, order = ZOO[published.name]
    config = dict(type='MMPretrainNet', model=published.name, num_classes=classes, pretrained=True)
    teacher = build_teacher(config, IMAGENET['mean'], IMAGENET['std'])
    preprocessor = MODELS.build(dict(type='SeededPreprocessor', **IMAGENET, to_rgb=True))
    inputs = preprocessor(dict(inputs=image().flip(1)))['inputs']  # a file, read as BGR
    expected = mmpretrains_logits(published, image())
    assert torch.allclose(teacher(inputs).logits, expected, atol=1e-4 * float(expected.abs().max()))
    swapped = mmpretrains_logits(published, image().flip(1))
    assert (swapped - expected).abs().max() > 1e-3 * expected.abs().max(), 'the order must matter'
    assert mmpretrain_net.zoo_images(ModelHub.get(published.name))['channel_order'] == order


def test_a_student_from_published_weights_is_exported_for_the_images_it_saw(published, tmp_path):
    student = dict(type='MMPretrainNet', model=published.name, num_classes=4, pretrained=True)
    path = str(tmp_path / 'image.png')
    cv2.imwrite(path, np.ascontiguousarray(image()[0].permute(1, 2, 0).numpy()[..., ::-1]))
    cfg = Config(
        dict(
            model=dict(type='NetClassifier', student=student),
            data_preprocessor=dict(num_classes=4, **IMAGENET, to_rgb=True),
            test_dataloader=dict(
                dataset=dict(type='CustomDataset', pipeline=[dict(type='LoadImage'), dict(type='PackInputs')])
            ),
        )
    )
    model = MODELS.build(dict(cfg.model, data_preprocessor=dict(cfg.data_preprocessor))).eval()
    run = str(tmp_path / 'run.pth')
    torch.save(dict(state_dict=model.state_dict()), run)
    out = str(tmp_path / 'out.pth')
    exported = get_model(export_student(cfg, run, out), pretrained=out).eval()
    read = torch.from_numpy(cv2.imread(path)).permute(2, 0, 1)[None]
    with torch.no_grad():
        theirs = exported(exported.data_preprocessor(dict(inputs=read))['inputs'])
        ours = model.student(model.data_preprocessor(dict(inputs=read))['inputs']).logits
    assert torch.allclose(theirs, ours, atol=1e-6)
    # The backbone's features are those of the published net on its own images.
    own = ClsDataPreprocessor(**ModelHub.get(published.name).config.data_preprocessor)
    given = image() if ZOO[published.name][1] else image().flip(1)
    declared = model.student.input_spec
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (declared.mean, declared.std))
    with torch.no_grad():
        expected = published.plain.extract_feat(own(dict(inputs=given))['inputs'])[-1]
        got = model.student((image() - mean) / std, embedding=True).embedding
    assert torch.allclose(got, expected, atol=1e-4 * float(expected.abs().max()))


def test_the_file_of_a_net_for_bgr_wants_its_order(published):
    classes, _, order = ZOO[published.name]
    config = dict(type='MMPretrainNet', model=published.name, num_classes=classes)
    for key in ('checkpoint', 'pretrained'):
        if order == 'bgr':
            with pytest.raises(UserError, match="channel_order: expected.*set channel_order='bgr' for"):
                MODELS.build(dict(config, **{key: published.file}))
        rgb = MODELS.build(dict(config, **{key: published.file}, channel_order='rgb'))
        assert all(torch.equal(v, published.plain.state_dict()[k]) for k, v in rgb.model.state_dict().items())
        bgr = MODELS.build(dict(config, **{key: published.file}, channel_order='bgr')).eval()
        with torch.no_grad():
            inputs = torch.randn(1, 3, 64, 64)
            plain = published.plain(inputs.flip(1))
            assert torch.allclose(bgr(inputs).logits, plain, atol=1e-4 * float(plain.abs().max()))


def test_another_order_or_number_of_channels_is_refused():
    with pytest.raises(UserError, match="channel_order: expected 'rgb', or 'bgr'.*got 'grb'"):
        MODELS.build(micro_net('cnn', channel_order='grb'))
    with pytest.raises(UserError, match='mean and std for each of 3 channels, got 1 and 1 values'):
        MODELS.build(micro_net('cnn', mean=[1.0], std=[1.0]))


METHODS = sorted(x.stem for x in (ROOT / 'configs/_base_/methods').glob('*.py'))
PAIR = ROOT / 'configs/mldrkd/vit-micro_cnn-micro_digits.py'


def with_channels(cfg, teacher, student):
    if 'teacher' in cfg.model:
        cfg.model.teacher.setdefault('model_kwargs', {}).update(in_chans=teacher)
    cfg.model.student.model.backbone.in_channels = student
    cfg.data_preprocessor.update(mean=[77.8] * student, std=[95.9] * student)
    return cfg


@pytest.mark.parametrize('channels', [1, 4])
@pytest.mark.parametrize('method', METHODS)
def test_nets_of_other_channels_learn_by_every_method(method, channels):
    cfg = with_channels(load_config(PAIR, {}, method), channels, channels)
    model = MODELS.build(random_config(cfg)).train()
    inputs, samples = random_batch(model, 8, (16, 16))
    assert inputs.shape == (8, channels, 16, 16)
    loss = sum(x for key, x in model.loss(inputs, samples).items() if 'loss' in key)
    loss.backward()
    assert torch.isfinite(loss)


def test_teacher_and_student_of_different_channels_are_refused():
    cfg = with_channels(load_config(PAIR, {}, 'kd'), 1, 3)
    with pytest.raises(UserError, match='teacher: expected 3 channels as the student has.*got 1'):
        MODELS.build(random_config(cfg))


@pytest.fixture
def folder(tmp_path):
    """Two images in the form that CustomDataset reads."""
    for name in ('a', 'b'):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / 'x.png'), image()[0].permute(1, 2, 0).numpy())
    return tmp_path


def check(dataset, **preprocessor):
    """The hook on a data set; the net is made for 32 px, which it does not insist on."""
    model = MODELS.build(
        dict(type='NetClassifier', student=micro_net('cnn'), data_preprocessor=dict(preprocessor))
    )
    loader = DataLoader(dataset, collate_fn=lambda items: dict(inputs=[x['inputs'] for x in items]))
    runner = SimpleNamespace(
        model=model, train_dataloader=loader, val_loop=None, hooks=[], logger=SimpleNamespace(warning=print)
    )
    InputCheckHook().before_train(runner)


@pytest.mark.parametrize('step', ['LoadImage', 'LoadImageFromFile'])
def test_files_are_swapped_and_memory_is_not(step, folder):
    pipeline = [dict(type=step), dict(type='PackInputs')]
    config = dict(type='CustomDataset', data_root=str(folder))
    files = DATASETS.build(dict(config, pipeline=pipeline))
    check(files, **IMAGENET, to_rgb=True)
    with pytest.raises(UserError, match='expected to_rgb=True, since the images of train.* come as BGR'):
        check(files, **IMAGENET, to_rgb=False)
    memory = InMemory(config)
    check(memory, **IMAGENET, to_rgb=False)
    with pytest.raises(UserError, match='expected to_rgb=False, since the images of train.* come as RGB'):
        check(memory, **IMAGENET, to_rgb=True)


def test_images_of_one_channel_are_refused_by_nets_of_three(folder):
    pipeline = [dict(type='LoadImageFromFile', color_type='grayscale'), dict(type='PackInputs')]
    grey = DATASETS.build(dict(type='CustomDataset', data_root=str(folder), pipeline=pipeline))
    with pytest.raises(UserError, match='train_dataloader: expected images of 3 channels.*got 1 after'):
        check(grey, mean=[127.5], std=[127.5])


def test_grey_images_stay_grey_for_mmpretrains_inferencer():
    pipeline = [dict(type='LoadImageFromFile', color_type='grayscale'), dict(type='PackInputs')]
    loader = dict(dataset=dict(type='CustomDataset', pipeline=pipeline))
    cfg = Config(dict(model=dict(), data_preprocessor=dict(mean=[0.0], std=[1.0]), test_dataloader=loader))
    (first, _) = file_config(cfg).test_dataloader.dataset.pipeline
    assert first == dict(type='LoadImageFromFile', color_type='grayscale')


@pytest.mark.parametrize('scale, mean, fits', [(255, 123.0, True), (1, 123.0, False), (1, 0.5, True)])
def test_a_teacher_of_0_255_gets_no_images_of_0_1(scale, mean, fits):
    teacher = micro_net('vit', checkpoint='random', mean=[mean] * 3, std=[mean / 2] * 3)
    model = dict(
        type='LogitDistiller', losses=[dict(type='KDLoss')], teacher=teacher, student=micro_net('cnn')
    )
    images = [dict(inputs=torch.rand(3, 32, 32) * scale, data_samples=None)]
    loader = DataLoader(images, collate_fn=lambda items: dict(inputs=[x['inputs'] for x in items]))
    logger = SimpleNamespace(warning=print)
    runner = SimpleNamespace(
        model=MODELS.build(model), train_dataloader=loader, val_loop=None, hooks=[], logger=logger
    )
    if fits:
        InputCheckHook().before_train(runner)
    else:
        with pytest.raises(
            UserError, match='train_dataloader: expected images of 0-255.*mean .123.*ToTensor'
        ):
            InputCheckHook().before_train(runner)
