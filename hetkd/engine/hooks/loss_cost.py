"""Estimate of what the class relations of MLDR-KD cost a step."""

import time

import torch
from mmengine.hooks import Hook

from hetkd.engine.batches import batch_size_of
from hetkd.engine.plain_model import plain_model
from hetkd.functional import relation_kl
from hetkd.registry import HOOKS

MANY = 2 * 10**9
"""Entries of a step's relations from which on the cost is named: 256 images of 1,000 classes have fewer."""
SAMPLE_CLASSES = 1000


@HOOKS.register_module()
class LossCostHook(Hook):
    """Warn before the first step if the class relations of ``DFRALoss`` will dominate it.

    They are (C, C) for each image and each compared net, so time and memory grow with the square of the
    number of classes C. The time is measured on fewer classes, on the training device, and scaled.

    Attributes:
        report: ``{'relation_cost': {'entries', 'seconds', 'memory_gib'}}`` where there are many, else ``{}``.
    """

    def __init__(self):
        self.report: dict = {}

    def before_train(self, runner) -> None:
        """Estimate once."""
        model = plain_model(runner)
        if not any(type(part).__name__ == 'DFRALoss' for part in model.modules()):
            return
        images, classes = batch_size_of(runner.train_dataloader) or 1, model.student.num_classes
        students = getattr(model, 'num_compared', 1)
        entries = len(model.teachers) * images * (students + 1) * classes**2
        if entries < MANY:
            return
        seconds = len(model.teachers) * images * _seconds(students, classes, next(model.parameters()).device)
        memory = (students + 1) * classes**2 * 4 / 2**30
        self.report = dict(relation_cost=dict(entries=entries, seconds=seconds, memory_gib=memory))
        runner.logger.warning('loss cost: ' + cost_line(self.report, images, classes))


def cost_line(report: dict, images: int, classes: int) -> str:
    """The report in a sentence."""
    cost = report['relation_cost']
    return (
        f'the class relations of DFRALoss ({classes:,} x {classes:,} for each image) take about '
        f'{cost["seconds"]:.1f} s of each step of {images} images and at least {cost["memory_gib"]:.1f} GiB; '
        f'they grow with the square of the number of classes. With so many classes take a method without '
        f'them (--method dist, kd, ofa or hcd)'
    )


def _seconds(students: int, classes: int, device) -> float:
    """Seconds of one image's relations, with their gradient."""
    few = min(classes, SAMPLE_CLASSES)
    teacher = torch.zeros(1, few, device=device)
    student = torch.zeros(students, 1, few, device=device, requires_grad=True)
    for _ in range(2):  # the first warms up
        begin = time.perf_counter()
        relation_kl(student, teacher, few**-0.5).sum().item()
        seconds = time.perf_counter() - begin
    return seconds * (classes / few) ** 2
