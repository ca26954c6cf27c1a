"""The student alone: testing it without its teacher, and exporting it."""

import os
from typing import Any

import torch
from mmengine.config import Config, ConfigDict

from hetkd.engine import own_checkpoint
from hetkd.models.nets.base import RANDOM
from hetkd.models.nets.checkpoint import Weights, load_strict, read_weights
from hetkd.models.nets.mmpretrain_net import MMPretrainNet
from hetkd.registry import MODELS

STUDENT_OPTIONS = ('student', 'label_loss', 'data_preprocessor', 'train_cfg')


def student_config(cfg: Config) -> ConfigDict:
    """The model config of a run's student as a plain classifier: no teacher, no connectors.

    Its weights are to come from elsewhere, so the student's own ``pretrained`` and ``checkpoint`` go.

    Raises:
        ValueError: the model has no student.
    """
    model = cfg.model
    if 'student' not in model:
        raise ValueError(
            f'model: expected a model with a student (a distiller or NetClassifier), got {model.get("type")}'
        )
    kept = {key: model[key] for key in STUDENT_OPTIONS if model.get(key) is not None}
    if cfg.get('data_preprocessor') is not None:
        kept.setdefault('data_preprocessor', cfg.data_preprocessor)
    classifier = Config(dict(model=dict(type='NetClassifier', **kept))).model
    classifier.student.pop('pretrained', None)
    classifier.student.checkpoint = RANDOM
    return classifier


def read_student(path: str) -> Weights:
    """The student's weights in a distiller's checkpoint or an exported file."""
    with own_checkpoint():
        return read_weights(path)


def load_student(classifier, path: str) -> Weights:
    """Load them into a :class:`~hetkd.models.distillers.NetClassifier`, strictly."""
    weights = read_student(path)
    student = classifier.student
    load_strict(student.model, weights.state_dict, path, student.num_classes)
    return weights


def export_student(cfg: Config, checkpoint: str, out: str) -> str:
    """Write the student of a checkpoint as a plain file of its own library.

    The file holds ``{'state_dict', 'meta'}``, plain values only, and loads with ``weights_only=True``:
    ``timm.create_model(checkpoint_path=OUT)`` reads that of a timm net. An mmpretrain net also gets a config
    beside it, for ``mmpretrain.get_model(CONFIG, pretrained=OUT)``. ``meta`` keeps the class names.

    Args:
        cfg: config of the run.
        checkpoint: checkpoint of the run.
        out: file to write, ``*.pth``. Written whole or not at all.

    Returns:
        The path of the written config, or ``''`` for a timm net.
    """
    model = student_config(cfg)
    classifier = MODELS.build(model)
    weights = load_student(classifier, checkpoint)
    student = classifier.student
    state = {key: value.clone() for key, value in student.model.state_dict().items()}
    os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)
    meta: dict[str, Any] = {}
    if weights.classes is not None:
        meta['dataset_meta'] = dict(classes=[str(name) for name in weights.classes])
    _save(dict(state_dict=state, meta=meta), out)
    if not isinstance(student, MMPretrainNet):
        return ''
    plain = dict(model=student.config, data_preprocessor=model.get('data_preprocessor'))
    if cfg.get('test_dataloader') is not None:
        plain['test_dataloader'] = cfg.test_dataloader
    path = os.path.splitext(out)[0] + '.py'
    Config(plain).dump(path)
    return path


def _save(content: Any, out: str) -> None:
    torch.save(content, out + '.part')
    os.replace(out + '.part', out)
