"""The student alone: its config, loading, export and publishing."""

import hashlib
import io
import os
from copy import deepcopy
from typing import Any, Optional, Sequence, Union

import torch
from mmengine.config import Config, ConfigDict
from torch.optim.swa_utils import AveragedModel

from hetkd.errors import UserError
from hetkd.models.distillers.configs import preprocessor_config
from hetkd.models.nets.base import RANDOM
from hetkd.models.nets.checkpoint import Weights, check_finite, load_strict, read_weights
from hetkd.models.nets.mmpretrain_net import MMPretrainNet
from hetkd.registry import BATCH_AUGMENTS, MODELS
from hetkd.utils.whole_file import written_whole

FILE_LOADERS = ('LoadImage', 'LoadImageFromFile')
STUDENT_OPTIONS = ('student', 'label_loss', 'data_preprocessor', 'train_cfg')


def student_config(cfg: Config) -> ConfigDict:
    """The model config of a run's student as a plain classifier: no teacher, no connectors.

    Its weights are loaded separately, so the student's ``pretrained`` and ``checkpoint`` are removed.

    Raises:
        UserError: the model has no student.
    """
    model = cfg.model
    if 'student' not in model:
        raise UserError('model', 'a model with a student (a distiller or NetClassifier)', model.get('type'))
    kept = {key: model[key] for key in STUDENT_OPTIONS if model.get(key) is not None}
    preprocessor = preprocessor_config(cfg)
    if preprocessor:
        kept['data_preprocessor'] = preprocessor
    classifier = Config(dict(model=dict(type='NetClassifier', **kept))).model
    classifier.student.pop('pretrained', None)
    classifier.student.checkpoint = RANDOM
    return classifier


def image_by_image(cfg: Config) -> Config:
    """Replace test views of whole batches by a pipeline for single images.

    The test view of ``BatchViewPreprocessor`` on ``InMemory`` becomes the equivalent transforms. Any other
    config is returned unchanged.
    """
    loader = cfg.get('test_dataloader')
    if loader is None or loader.dataset.type != 'InMemory':
        return cfg
    cfg = deepcopy(cfg)
    preprocessor = preprocessor_config(cfg)
    view = {x: preprocessor.pop(x, None) for x in ('type', 'train_view', 'test_view')}['test_view']
    steps = [] if view is None else BATCH_AUGMENTS.build(view).as_pipeline()
    dataset = dict(cfg.test_dataloader.dataset.dataset, pipeline=[*steps, dict(type='PackInputs')])
    # Through Config, so that values can be read by attribute.
    cfg.test_dataloader.dataset = Config(dict(dataset=dataset)).dataset
    return cfg


def reads_files(cfg: Config) -> bool:
    """Whether the test data are read from files, as BGR; data sets in memory give RGB."""
    return cfg.test_dataloader.dataset.pipeline[0].type in FILE_LOADERS


def file_config(cfg: Config) -> Config:
    """The data part of a config for image files, in the form that mmpretrain's inferencers need.

    They read images as BGR, skip ``LoadImageFromFile``, and do not know hetkd's transforms.
    """
    cfg = deepcopy(image_by_image(cfg))
    parts = {}
    preprocessor = preprocessor_config(cfg)
    if preprocessor:
        preprocessor.pop('batch_augments', None)
        parts['data_preprocessor'] = preprocessor
    if cfg.get('test_dataloader') is not None:
        dataset = cfg.test_dataloader.dataset
        loader = dict(type='LoadImageFromFile')
        if reads_files(cfg):
            loader = {**dataset.pipeline.pop(0), **loader}  # its color_type
        elif preprocessor:
            preprocessor.to_rgb = True
        dataset.pipeline.insert(0, loader)
        parts['test_dataloader'] = cfg.test_dataloader
    return Config(parts)


def load_student(classifier, path: str) -> Weights:
    """Load the student's weights into a :class:`~hetkd.models.distillers.NetClassifier`, strictly."""
    weights = read_weights(path)
    student = classifier.student
    load_strict(student.model, weights.state_dict, path, student.num_classes)
    student.classes = weights.classes
    return weights


def export_student(
    cfg: Config, checkpoint: Union[str, Sequence[str]], out: str, backbone: bool = False
) -> str:
    """Write the student of a checkpoint as a plain weight file of mmpretrain or timm.

    The file holds ``{'state_dict', 'meta'}``, plain values only, and loads with ``weights_only=True``:
    ``timm.create_model(checkpoint_path=OUT)`` reads that of a timm net. An mmpretrain net also gets a config
    beside it, for ``mmpretrain.get_model(CONFIG, pretrained=OUT)`` and
    ``mmpretrain.ImageClassificationInferencer(CONFIG, OUT)``. ``meta`` keeps the class names
    and the filter that resized the images.

    Args:
        cfg: config of the run.
        checkpoint: checkpoint of the run. Of several, the mean of their weights is taken (stochastic weight
            averaging, arXiv 1803.05407; statistics of batch norms are averaged too).
        out: file to write, ``*.pth``. Written atomically.
        backbone: leave out the class head, to fine-tune on other classes.

    Returns:
        The path of the written config, or ``''`` for a timm net.

    Raises:
        UserError: several checkpoints of other classes, or of images that another filter resized.
    """
    model = student_config(cfg)
    classifier = MODELS.build(model)
    weights = _load_mean(classifier, [checkpoint] if isinstance(checkpoint, str) else checkpoint)
    student = _without_head(model.student, classifier.student) if backbone else classifier.student
    is_mmpretrains = isinstance(student, MMPretrainNet)
    plain = Config(dict(model=student.config, **file_config(cfg))) if is_mmpretrains else None
    path = os.path.splitext(out)[0] + '.py'
    if plain is not None and cfg.filename and os.path.realpath(path) == os.path.realpath(cfg.filename):
        raise UserError(
            '--out', 'a name whose .py is not the config of the run', out, f'it would replace {cfg.filename}'
        )
    os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)
    with written_whole(out) as file:
        torch.save(
            _content(student.model.state_dict(), None if backbone else weights.classes, weights.resize), file
        )
    if plain is None:
        return ''
    plain.dump(path)
    return path


def _load_mean(classifier, paths: Sequence[str]) -> Weights:
    first, *others = paths
    weights = load_student(classifier, first)
    if not others:
        return weights
    model = classifier.student.model
    mean = AveragedModel(model, use_buffers=True)
    mean.update_parameters(model)
    for path in others:
        other = load_student(classifier, path)
        for key in ('classes', 'resize'):
            wanted, got = getattr(weights, key), getattr(other, key)
            if None not in (wanted, got) and wanted != got:
                raise UserError(path, f'{key} as those of {first}, {wanted}', got, 'average one run')
        mean.update_parameters(model)
    model.load_state_dict(mean.module.state_dict())
    return weights


def publish_student(checkpoint: str, out: str) -> str:
    """Write the student of a checkpoint, or an exported student, with its SHA-256 in the name.

    Nothing else of the run is written: no optimizer, no plain weights beside an average, no connectors, no
    paths. ``torch.hub`` and mmengine check the digest in the name on download; it depends on the content
    alone.

    Args:
        checkpoint: checkpoint of the run, or the exported student.
        out: file to write, ``NAME.pth``.

    Returns:
        The path, ``NAME-DIGEST.pth`` with the first eight digits of the SHA-256.

    Raises:
        UserError: no such checkpoint, or no folder to write to.
    """
    weights = read_weights(checkpoint)
    check_finite(weights.state_dict, checkpoint)
    folder = os.path.dirname(os.path.abspath(out))
    if not os.path.isdir(folder):
        raise UserError('out', 'a folder that exists', folder, 'make it first')
    buffer = io.BytesIO()
    torch.save(_content(weights.state_dict, weights.classes, weights.resize), buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()[:8]
    path = f'{out.removesuffix(".pth")}-{digest}.pth'
    with written_whole(path) as file:
        file.write(buffer.getvalue())
    return path


def _without_head(config: dict, student):
    """The student as a net without a class head, in the same weights."""
    config = {key: x for key, x in config.items() if key not in ('compile', 'channels_last')}
    net = MODELS.build(dict(config, num_classes=0))
    state = student.model.state_dict()
    net.model.load_state_dict({key: state[key] for key in net.model.state_dict()})
    return net


def _content(state: dict, classes: Optional[Sequence[str]], resize: Optional[str]) -> dict[str, Any]:
    """What an exported file holds: plain values only."""
    meta: dict[str, Any] = {} if resize is None else dict(resize=resize)
    if classes is not None:
        meta['dataset_meta'] = dict(classes=[str(name) for name in classes])
    return dict(state_dict={key: value.clone() for key, value in state.items()}, meta=meta)
