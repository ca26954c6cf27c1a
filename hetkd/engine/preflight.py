"""Dry run: the loss terms of one batch, and a few timed steps."""

import time
from typing import Optional

import torch
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import EpochBasedTrainLoop

from hetkd.engine.batches import batch_size_of, epoch_length
from hetkd.functional import cosines_with_labels, term_gradients
from hetkd.registry import LOOPS
from hetkd.utils.memory import peak_memory_mib


@LOOPS.register_module()
class PreflightLoop(EpochBasedTrainLoop):
    """Take one batch's losses apart and time a few steps; for ``tools/preflight.py``.

    Nothing is saved. The hooks' checks before training (class names, the teachers' accuracy) are run.

    Args:
        runner, dataloader, max_epochs: see ``EpochBasedTrainLoop``.
        steps: training steps to time, after one to warm up.
        max_iters: in place of ``max_epochs`` for a run that counts iterations.
        **kwargs: the rest of a run's ``train_cfg``, not used.

    Attributes:
        report: what was found, as plain values; ``{}`` before :meth:`run`.
    """

    def __init__(
        self,
        runner,
        dataloader,
        max_epochs: int = 1,
        steps: int = 10,
        max_iters: Optional[int] = None,
        **kwargs,
    ):
        super().__init__(runner, dataloader, max_epochs)
        if max_iters is not None:
            self._max_iters = max_iters
            self._max_epochs = -(-max_iters // epoch_length(self.dataloader))
        self.steps = steps
        self.report: dict = {}

    def run(self) -> None:
        """Run it."""
        epoch_length(self.dataloader)
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        batches = self._endless()
        self.report = self._terms(next(batches)) | self._speed(batches)

    def _terms(self, batch) -> dict:
        """Value and gradient on the student of each loss term; parameters that no term reaches."""
        model = self.runner.model
        inputs = model.data_preprocessor(batch, True)
        student = [x for x in model.student.parameters() if x.requires_grad]

        def losses_and_gradients():
            torch.manual_seed(0)  # dropout; for both kinds of arithmetic
            losses = model(**inputs, mode='loss')
            terms = {key: value for key, value in losses.items() if 'loss' in key}
            return losses, terms, term_gradients(terms, student)

        with self.runner.optim_wrapper.optim_context(model):
            losses, terms, gradients = losses_and_gradients()
        rounding = None
        if isinstance(self.runner.optim_wrapper, AmpOptimWrapper):
            rounding = _difference((terms, gradients), losses_and_gradients()[1:])
        cosines = {key: float(value) for key, value in cosines_with_labels(gradients).items()}
        named = {name: x for name, x in model.named_parameters() if x.requires_grad}
        reached = torch.autograd.grad(sum(terms.values()), list(named.values()), allow_unused=True)
        return dict(
            terms={
                key: dict(
                    value=float(value.detach()),
                    gradient_norm=float(gradients[key].norm()),
                    cosine=cosines.get(key),
                )
                for key, value in terms.items()
            },
            statistics={key: float(value.detach()) for key, value in losses.items() if key not in terms},
            unused=[name for name, grad in zip(named, reached) if grad is None],
            frozen=[name for name, x in model.named_parameters() if not x.requires_grad],
            rounding=rounding,
        )

    def _speed(self, batches) -> dict:
        """Seconds of a step, of which the data kept it waiting, peak memory and the whole run's time."""
        waited = begin = 0.0
        for step in range(self.steps + 1):
            before = time.perf_counter()
            batch = next(batches)
            if step == 1:
                begin = before
            if step:
                waited += time.perf_counter() - before
            self.runner.model.train_step(batch, optim_wrapper=self.runner.optim_wrapper)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
        seconds = (time.perf_counter() - begin) / self.steps
        return dict(
            batch_size=batch_size_of(self.dataloader),
            images=len(self.dataloader.dataset),
            step_seconds=seconds,
            data_seconds=waited / self.steps,
            peak_memory_mib=peak_memory_mib(),
            run_hours=seconds * self._max_iters / 3600,
            epochs=self._max_epochs,
        )

    def _endless(self):
        """One iterator for all: mmengine's InfiniteSampler gives nothing any more when it has been left."""
        while True:
            yield from self.dataloader


def _difference(low, plain) -> dict:
    """What mixed precision changes in the sum of the terms, and in its gradient on the student."""
    (loss, gradient), (plain_loss, plain_gradient) = (
        (sum(terms.values()).detach(), sum(gradients.values())) for terms, gradients in (low, plain)
    )
    return dict(
        loss=float((loss / plain_loss - 1).abs()),
        cosine=float(torch.cosine_similarity(gradient, plain_gradient, dim=0)),
    )
