"""Inference with a trained student."""

from typing import Optional, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmpretrain import get_model
from mmpretrain.apis import ImageClassificationInferencer
from mmpretrain.utils import progress

from hetkd.models.nets.checkpoint import load_strict, read_weights
from hetkd.registry import DATASETS, MODELS, SCOPE

from .config import load_config
from .student import file_config, image_by_image, load_student, student_config


def init_model(
    config: Union[str, Config],
    checkpoint: Optional[str] = None,
    device: Union[str, torch.device, None] = None,
) -> BaseModel:
    """The student of a run as a classifier in eval mode, without its teacher.

    mmpretrain's ``ImageClassificationInferencer`` takes it as its model.

    Args:
        config: config of the run, or the one beside an exported mmpretrain student: a path,
            ``'hetkd::METHOD/NAME'`` for one that comes with the package, or a ``Config``.
        checkpoint: checkpoint of the run, or its exported student; default: random weights.
        device: device of the model; default: the CPU.

    Returns:
        A ``NetClassifier``, or mmpretrain's ``ImageClassifier`` for an exported student's own config.

    Raises:
        UserError: no such config or checkpoint.
        UserError: the checkpoint is of another net.
    """
    cfg = config if isinstance(config, Config) else load_config(config)
    if 'student' not in cfg.model:
        model = get_model(cfg)
        weights = checkpoint and read_weights(checkpoint)
        if weights:
            load_strict(model, weights.state_dict, checkpoint, model.head.num_classes)
    else:
        data = file_config(cfg)
        with DefaultScope.overwrite_default_scope(SCOPE):
            model = MODELS.build(dict(student_config(cfg), **_preprocessor(data)))
        weights = checkpoint and load_student(model, checkpoint)
        model._config, model._metainfo = data, None
    model._dataset_meta = dict(classes=_classes(cfg, weights))
    return model.to(device or 'cpu').eval()


def inference_model(model: BaseModel, image: Union[str, np.ndarray], **kwargs) -> dict:
    """Classify one image.

    Args:
        model: from :func:`init_model`.
        image: path, or an array (H, W, 3) uint8 BGR, as OpenCV reads it.
        **kwargs: see ``mmpretrain.ImageClassificationInferencer``, e.g. ``show_dir``.

    Returns:
        ``pred_label``, ``pred_score``, ``pred_scores`` and, where the class names are known, ``pred_class``.
    """
    shown = progress.disable_progress_bar
    progress.disable_progress_bar = True  # there is one image
    try:
        return ImageClassificationInferencer(model)(image, **kwargs)[0]
    finally:
        progress.disable_progress_bar = shown


def _preprocessor(data: Config) -> dict:
    return {key: value for key, value in data.items() if key == 'data_preprocessor'}


def _classes(cfg: Config, weights):
    """Class names that the checkpoint records, or that the data set's class knows."""
    if weights and weights.classes is not None:
        return weights.classes
    if cfg.get('test_dataloader') is None:
        return None
    dataset = image_by_image(cfg).test_dataloader.dataset
    return (getattr(DATASETS.get(dataset.type), 'METAINFO', None) or {}).get('classes')
