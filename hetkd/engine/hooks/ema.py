"""The moving average of the student."""

from mmengine.dist import all_reduce_params
from mmengine.hooks import EMAHook
from mmengine.registry import MODELS

from hetkd.engine.plain_model import plain_model
from hetkd.engine.steps import has_stepped
from hetkd.errors import UserError
from hetkd.registry import HOOKS

PREFIX = 'student.'


@HOOKS.register_module()
class StudentEMAHook(EMAHook):
    """mmengine's ``EMAHook`` over the student alone: no copy of connectors, memory banks or teachers.

    Validation sees the averaged student. A checkpoint holds it under ``state_dict``, so that it is what is
    tested and exported, and the trained one under ``ema_state_dict``, from which a run resumes.

    Args:
        ema_type: kind of average; default ``'ExponentialMovingAverage'``.
        momentum: weight of the new value at each step; 4e-5 is a decay of .99996.
        **kwargs: see ``EMAHook``; ``update_buffers=True`` averages batch-norm statistics as well.

    Raises:
        UserError: there is another moving average.
    """

    def before_run(self, runner) -> None:
        """Copy the student."""
        model = plain_model(runner)
        if sum(isinstance(hook, EMAHook) for hook in runner.hooks) > 1:
            raise UserError(
                'StudentEMAHook',
                'one moving average',
                'several, which would take each other for the student',
                'change default_hooks.student_ema, or drop it by None',
            )
        self.src_model = model.student
        self.ema_model = MODELS.build(self.ema_cfg, default_args=dict(model=self.src_model))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Take up the student after a step, which with gradient accumulation is not each iteration."""
        if has_stepped(runner.optim_wrapper):
            super().after_train_iter(runner, batch_idx, data_batch, outputs)

    def after_train_epoch(self, runner) -> None:
        """Processes agree on the averaged statistics, as SyncBuffersHook has them agree on the model's."""
        all_reduce_params(self.ema_model.module.buffers(), op='mean')

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Save the average with the statistics it is validated with: the model's, where none are averaged.

        They may have changed after the last step, by SyncBuffersHook or mmpretrain's PreciseBNHook.
        """
        if not self.ema_model.update_buffers:
            for mine, average in zip(self.src_model.buffers(), self.ema_model.module.buffers()):
                average.copy_(mine)
        super().before_save_checkpoint(runner, checkpoint)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Go on with the average, or begin one from the weights that were loaded."""
        if 'ema_state_dict' not in checkpoint or not runner._resume:
            state = checkpoint['state_dict']
            checkpoint = dict(
                state_dict={x[len(PREFIX) :]: y for x, y in state.items() if x.startswith(PREFIX)}
            )
        super().after_load_checkpoint(runner, checkpoint)

    def _swap_ema_state_dict(self, checkpoint: dict) -> None:
        mine, average = checkpoint['state_dict'], checkpoint['ema_state_dict']
        for key in average:
            if key.startswith('module.'):
                name = PREFIX + key[len('module.') :]
                average[key], mine[name] = mine[name], average[key]
