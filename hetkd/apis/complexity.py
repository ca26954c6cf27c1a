"""Parameters and FLOPs of teacher, student and train-only parts."""

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.structures import DataSample
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from hetkd.models.nets.contract import asked
from hetkd.registry import MODELS

from .analysis import random_config

PARTS = ('teacher', 'student', 'train_only')


def complexity(cfg: Config, shape: tuple[int, int] | None = None, batch_size: int = 8) -> dict[str, dict]:
    """Parameters and multiply-adds of the teachers, the student and the train-only parts.

    Counted by torch on a random batch: matrix products, convolutions and attention, forward and backward.
    Elementwise operations (norms, activations, a selective scan) are not counted. One multiply-add is one
    FLOP, as in mmpretrain's tables. The train-only parts are all that the model's loss needs beside the nets:
    connectors and losses. No weight file is read.

    Args:
        cfg: config of a run.
        shape: (height, width) of the images; default: the student's own.
        batch_size: images in the batch; the cost of losses that compare images depends on it.

    Returns:
        ``{'parameters', 'forward', 'step'}``, each with a number for ``'teacher'``, ``'student'`` and
        ``'train_only'``; FLOPs are those of one image. ``step`` is a training step, forward and backward.
    """
    init_default_scope(cfg.get('default_scope', 'hetkd'))
    model = MODELS.build(random_config(cfg)).train()
    shape = tuple(shape or model.student.probe_size)
    inputs, samples = random_batch(model, batch_size, shape)
    teachers, student = getattr(model, 'teachers', ()), model.student
    needs = [asked(getattr(model, 'teacher_needs', ()))]
    needs += [asked(('logits', *getattr(model, 'student_needs', ())))]
    model.loss(inputs, samples)  # the probes that nets run at the first call are not counted

    def train_student():
        output = student(inputs, **needs[1])
        total = sum(x.sum() for x in (output.logits, *output.stages, *output[2:]) if x is not None)
        total.backward()

    def loss():
        return sum(x for key, x in model.loss(inputs, samples).items() if 'loss' in key)

    def both(teacher_flops, student_flops, whole):
        return dict(zip(PARTS, (teacher_flops, student_flops, whole - teacher_flops - student_flops)))

    with torch.no_grad():
        theirs = _flops(lambda: [x(inputs, **needs[0]) for x in teachers], batch_size)
        forward = both(
            theirs, _flops(lambda: student(inputs, **needs[1]), batch_size), _flops(loss, batch_size)
        )
    step = both(theirs, _flops(train_student, batch_size), _flops(lambda: loss().backward(), batch_size))
    own = sum(x.numel() for x in student.parameters())
    parameters = dict(
        teacher=sum(x.numel() for teacher in teachers for x in teacher.net.parameters()),
        student=own,
        train_only=sum(x.numel() for x in model.parameters()) - own,
    )
    return dict(parameters=parameters, forward=forward, step=step)


def random_batch(model, batch_size: int, shape: tuple[int, int]) -> tuple[torch.Tensor, list[DataSample]]:
    """Noise (N, channels, *shape) with labels; the distiller is set up for a training set of this size."""
    labels = torch.arange(batch_size) % model.student.num_classes
    for part in model.modules():
        if hasattr(part, 'prepare_data'):  # CRD's memory banks, of a size that leaves negatives
            part.prepare_data(torch.arange(2 * batch_size) % model.student.num_classes)
    samples = [DataSample(metainfo=dict(sample_idx=i)).set_gt_label(label) for i, label in enumerate(labels)]
    return torch.randn(batch_size, model.student.input_spec.channels, *shape), samples


def _convolution_backward(grad, x, w, bias, stride, padding, dilation, transposed, *rest, **_) -> int:
    """FLOPs of the forward pass per gradient; torch 2.15 ignores the groups of a convolution here."""
    wanted = rest[2]
    return sum(wanted[:2]) * conv_flop_count(x, w, grad, transposed)


_COUNTS = {torch.ops.aten.convolution_backward: _convolution_backward}


def _flops(run, images: int) -> float:
    """Multiply-adds per image."""
    with FlopCounterMode(display=False, custom_mapping=_COUNTS) as counter:
        run()
    return counter.get_total_flops() / 2 / images
