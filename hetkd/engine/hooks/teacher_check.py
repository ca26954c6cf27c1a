"""Check of the teachers' outputs and accuracy before the first step."""

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from torch.utils.data import DataLoader, Subset

from hetkd.arguments import Natural
from hetkd.engine.batches import batch_size_of
from hetkd.engine.plain_model import plain_model
from hetkd.errors import UserError
from hetkd.registry import HOOKS
from hetkd.utils.spread import evenly_spread


@HOOKS.register_module()
class TeacherCheckHook(Hook):
    """Measure each teacher on some of the validation images before training begins, and log what is trained.

    A teacher at chance level stops the run: its weights are not of this net, of other classes, or of another
    normalisation. A teacher with ``checkpoint='random'`` is meant to be, and is let through.

    A teacher whose outputs are NaN or infinite stops the run always, in any of the outputs that the method
    reads. Without validation images it sees a black one. One without a class head has no accuracy.

    ``tools/preflight.py``, a dry run, shows more.

    Args:
        images: how many validation images, evenly spread; 0 for none.
        allow_chance: continue with a teacher at chance level.

    Attributes:
        report: what was found, as plain values.

    Raises:
        UserError: a teacher at chance level, or with outputs that are NaN or infinite.
    """

    priority = 'LOW'

    def __init__(self, images: Natural = 256, allow_chance: bool = False):
        self.images, self.allow_chance = images, allow_chance
        self.report: dict = {}

    @master_only
    def before_train(self, runner) -> None:
        """Log the parameters and each teacher's accuracy; stop at a teacher at chance level."""
        model = plain_model(runner)
        if not hasattr(model, 'student'):
            return
        self.report = dict(parameters=_count(model), teachers=[])
        runner.logger.info(
            'parameters trained: student {student:,}, train-only {train_only:,}; frozen {frozen:,}'.format(
                **self.report['parameters']
            )
        )
        teachers = getattr(model, 'teachers', ())
        batches = self._batches(runner) if teachers and self.images and runner.val_loop is not None else []
        for teacher in teachers:
            found = _describe(teacher) | _accuracy(model, teacher, batches)
            self.report['teachers'].append(found)
            runner.logger.info('teacher check: ' + teacher_line(found))
            if found.get('top1') is not None and found['top1'] <= found['chance_limit']:
                self._at_chance(runner, teacher, found, 'logits' in model.teacher_needs)

    def _batches(self, runner):
        loader = runner.val_dataloader
        some = Subset(loader.dataset, evenly_spread(self.images, len(loader.dataset)))
        size = min(batch_size_of(loader) or 128, len(some))
        return DataLoader(some, size, collate_fn=loader.collate_fn)

    def _at_chance(self, runner, teacher, found: dict, is_read: bool) -> None:
        if teacher.is_random:
            runner.logger.warning('teacher check: this teacher is random, as checkpoint="random" says')
            return
        error = UserError(
            'teacher',
            'one that knows the data',
            f'{found["top1"]:.1f} % on {found["images"]} validation images, where chance gives '
            f'{found["chance"]:.1f} %',
            'look for another class order, another mean and std (teacher.mean, teacher.std), a file of '
            f'another data set, or a training that was too short ({found["file"] or "pretrained"}). '
            + ('' if is_read else 'Set teacher.num_classes=0: the method reads no logits. ')
            + 'To train all the same: --cfg-options '
            'default_hooks.teacher_check.allow_chance=True',
        )
        if not self.allow_chance:
            raise error
        runner.logger.warning(str(error))


def _count(model) -> dict[str, int]:
    student = {id(x) for x in model.student.parameters()}
    counts = dict(student=0, train_only=0, frozen=0)
    for parameter in model.parameters():
        kind = 'student' if id(parameter) in student else 'train_only'
        counts[kind if parameter.requires_grad else 'frozen'] += parameter.numel()
    return counts


def _describe(teacher) -> dict:
    if not teacher.num_classes:
        return teacher.describe()
    recorded = teacher.classes is not None
    return teacher.describe() | dict(
        classes='in the order of the data' if recorded else 'not recorded in its file'
    )


def _check_finite(model, teacher, inputs) -> None:
    """Look at logits and all that the method reads of a teacher; a cache checks its rows itself."""
    if teacher.views:
        return
    output = teacher(inputs, **dict.fromkeys(model.teacher_needs, True))
    parts = {f'stage {i}': x for i, x in enumerate(output.stages, 1)}
    parts |= {name: x for name, x in output._asdict().items() if name != 'stages'}
    bad = [name for name, x in parts.items() if x is not None and not x.isfinite().all()]
    if bad:
        raise _not_finite(teacher, bad, len(inputs))


def _not_finite(teacher, parts: list, count: int) -> UserError:
    found = teacher.describe()
    return UserError(
        'teacher',
        'finite outputs',
        f'NaN or infinite {", ".join(parts)} of {found["net"]} ({found["file"] or "pretrained"}) on {count} '
        'images',
        "name another file, or, if dtype is set, use 'bfloat16' or none",
    )


@torch.no_grad()
def _accuracy(model, teacher, batches) -> dict:
    """Top-1 in percent, and what chance gives: three standard deviations above it are still chance.

    Nothing for a teacher without a class head; its outputs are looked at all the same.
    """
    right, count, finite = 0, 0, True
    for batch in batches:
        data = model.data_preprocessor(batch, False)
        target = torch.cat([x.gt_label for x in data['data_samples']]).to(data['inputs'].device)
        if not count:
            _check_finite(model, teacher, data['inputs'])
        logits = teacher.validate(data['inputs'], [x.sample_idx for x in data['data_samples']])
        if logits is None:  # no class head, or a cache without them
            break
        right = right + (logits.argmax(1) == target).sum()
        finite = logits.isfinite().all() & finite
        count += len(target)
    if not count:
        _check_finite(model, teacher, model.student.probe(lambda image: image))
        return dict(images=0, top1=None) if teacher.num_classes else {}
    if not finite:
        raise _not_finite(teacher, ['logits'], count)
    chance = 1 / teacher.num_classes
    limit = chance + 3 * (chance * (1 - chance) / count) ** 0.5
    return dict(images=count, top1=100 * int(right) / count, chance=100 * chance, chance_limit=100 * limit)


def teacher_line(found: dict) -> str:
    """What was found of a teacher, in a sentence."""
    if 'top1' not in found:
        knows = 'no class head'
    elif found['top1'] is None:
        knows = f'top-1 not measured; classes {found["classes"]}'
    else:
        knows = f'top-1 {found["top1"]:.1f} % on {found["images"]} images; classes {found["classes"]}'
    size = 'any size' if found['size'] == 'any' else 'x'.join(map(str, found['size'])) + ' px'
    scale = (
        'as the data' if isinstance(found['normalisation'], str) else f'mean, std {found["normalisation"]}'
    )
    return (
        f'{found["net"]} ({found["parameters"]:,} parameters, {found["file"] or "pretrained"}): {knows}; '
        f'sees {size}, normalised {scale}'
    )
