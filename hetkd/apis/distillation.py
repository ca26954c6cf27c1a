"""Distillation in one call: teacher and student on a folder of images."""

from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

from mmengine.config import Config

from hetkd.engine import latest_checkpoint
from hetkd.errors import UserError

from .commands import tool_main
from .config import load_config
from .launch import LOADERS, build_runner, complete_loaders
from .results import read_curve

TEMPLATE = 'hetkd::_base_/own_images'
EXPORTS = {'.pth': 'export_student', '.onnx': 'export', '.pt2': 'export'}


class Distilled(NamedTuple):
    """What :func:`distill` returns."""

    config: str
    checkpoint: str
    accuracy: float
    teacher: str


def distill(
    student: Union[str, dict],
    teacher: Union[str, dict],
    data: str,
    method: str = 'mldrkd',
    size: int = 224,
    epochs: int = 50,
    pretrained: bool = True,
    teacher_checkpoint: Optional[str] = None,
    out: Optional[str] = None,
    work_dir: str = 'work_dirs/distill',
    options: Optional[dict[str, Any]] = None,
) -> Distilled:
    """Train a teacher on a folder of images and distil it into a student.

    An interrupted call is resumed by the same call again.

    Args:
        student, teacher: names in timm, or configs of any net (``dict(type=..., ...)``).
        data: folder with ``train/CLASS/*`` and ``val/CLASS/*``.
        method: name of a method, or a file ``*.py`` of that form; ``'scratch'`` needs no teacher and trains
            none.
        size: of the images, in pixels.
        epochs: of the teacher and of the student.
        pretrained: nets by name begin with timm's weights of ImageNet.
        teacher_checkpoint: weights of a teacher that is trained already; None trains it.
        out: file to export the student to, ``*.pth``, ``*.onnx`` or ``*.pt2``.
        work_dir: folder of both runs, ``teacher`` and ``student``.
        options: other settings by dotted keys, as ``--cfg-options``; those of ``model`` are the student's.

    Returns:
        ``config``, the file of the student's whole config, for any tool; ``checkpoint`` of the student after
        the last epoch; ``accuracy``, its top-1 on the validation images in per cent; ``teacher``, the
        teacher's checkpoint.

    Raises:
        UserError: an argument, the folder or a setting is wrong.
    """
    if out is not None and Path(out).suffix not in EXPORTS:
        raise UserError('out', f'a file *{" or *".join(EXPORTS)}', repr(out))
    own = dict(root=data, size=size, teacher=teacher, student=student, pretrained=pretrained)
    settings = {
        'train_cfg.max_epochs': epochs,
        **{f'own_images.{key}': value for key, value in own.items()},
        **(options or {}),
    }
    if teacher_checkpoint is None and method != 'scratch':
        rest = {key: value for key, value in settings.items() if not key.startswith('model.')}
        cfg = load_config(TEMPLATE, {**rest, 'own_images.trains': 'teacher'})
        teacher_checkpoint = _train(cfg, f'{work_dir}/teacher')
    if method != 'scratch':
        settings['model.teacher.checkpoint'] = teacher_checkpoint
    cfg = load_config(TEMPLATE, settings, method)
    folder = f'{work_dir}/student'
    checkpoint = _train(cfg, folder)
    config = f'{folder}/{Path(cfg.filename).name}'
    if out is not None:
        tool_main(EXPORTS[Path(out).suffix])([config, checkpoint, '--out', out])
    curve = read_curve(folder)
    return Distilled(config, checkpoint, curve[max(curve)], teacher_checkpoint)


def _train(cfg: Config, work_dir: str) -> str:
    """Train, from the latest checkpoint on if there is one; the last checkpoint."""
    cfg.work_dir, cfg.resume = work_dir, True
    complete_loaders(cfg, LOADERS)
    build_runner(cfg).train()
    return latest_checkpoint(work_dir)  # an early stop has its own last epoch
