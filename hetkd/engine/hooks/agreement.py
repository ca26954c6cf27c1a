"""Agreement of the student with its teachers on the validation set."""

import torch
from mmengine.dist import broadcast_object_list, collect_results_cpu, is_main_process
from mmengine.hooks import Hook

from hetkd.engine.plain_model import plain_model
from hetkd.functional import kl_of_each
from hetkd.registry import HOOKS


@HOOKS.register_module()
class TeacherAgreementHook(Hook):
    """Compare student and teacher on the validation set, beside the accuracy.

    Adds to the metrics, for each teacher (``teacher``, ``teacher_2``, ...):

    - ``teacher/agreement``: share of images on which both choose the same class, in percent.
    - ``teacher/kl``: mean KL(teacher || student) of the probabilities at temperature 1, in nats.
    - ``teacher/top1``: the teacher's own accuracy, in percent.

    A teacher without a class head is left out.

    The teacher runs once; its logits (images x classes, in half precision on the CPU) serve all later
    validations.
    """

    priority = 'VERY_HIGH'

    def __init__(self):
        self._logits: dict[int, tuple[tuple, list[torch.Tensor]]] = {}
        self._rows: list[torch.Tensor] = []

    def before_val_epoch(self, runner) -> None:
        self._rows = []

    @torch.no_grad()
    def after_val_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        model = plain_model(runner)
        if not _measured(model):
            return
        log_student = torch.stack([x.pred_score for x in outputs]).float().clamp_min(1e-38).log()
        target = torch.cat([x.gt_label for x in outputs]).to(log_student.device)
        columns = []
        for logits in self._teacher_logits(model, batch_idx, data_batch, outputs):
            if logits is None:  # a cache without validation images
                columns += 3 * [torch.full(target.shape, float('nan'), device=target.device)]
                continue
            logits = logits.to(log_student.device)
            label = logits.argmax(1)
            columns += [
                100.0 * (label == log_student.argmax(1)),
                kl_of_each(log_student, logits),
                100.0 * (label == target),
            ]
        self._rows.append(torch.stack(columns, 1))

    def _teacher_logits(self, model, batch_idx, data_batch, outputs) -> list[torch.Tensor]:
        """Logits of each teacher, reused from an earlier validation of the same images."""
        index = tuple(x.get('sample_idx') for x in outputs)
        if batch_idx not in self._logits or self._logits[batch_idx][0] != index or None in index:
            inputs = model.data_preprocessor(data_batch, False)['inputs']
            found = [x.validate(inputs, index) for _, x in _measured(model)]
            self._logits[batch_idx] = index, [None if x is None else x.half().cpu() for x in found]
        return self._logits[batch_idx][1]

    def after_val_epoch(self, runner, metrics=None) -> None:
        if not self._rows:
            return
        rows = torch.cat(self._rows).tolist()
        rows = collect_results_cpu(rows, len(runner.val_dataloader.dataset))
        means = [torch.tensor(rows).mean(0).view(-1, 3).tolist() if is_main_process() else None]
        broadcast_object_list(means)  # hooks that decide by a metric decide alike in all processes
        (means,) = means
        for (i, _), values in zip(_measured(plain_model(runner)), means):
            name = 'teacher' if i == 1 else f'teacher_{i}'
            for key, value in zip(('agreement', 'kl', 'top1'), values):
                metrics[f'{name}/{key}'] = value
                runner.message_hub.update_scalar(f'val/{name}/{key}', value)


def _measured(model) -> list:
    """The teachers that have logits, with their numbers."""
    return [(i, x) for i, x in enumerate(getattr(model, 'teachers', ()), 1) if x.num_classes]
