"""The runner of configs with a ``strategy``."""

from mmengine.hooks import EMAHook
from mmengine.runner import FlexibleRunner

from hetkd.engine import GradientCosineHook
from hetkd.engine.lasting import LastingRun
from hetkd.errors import UserError
from hetkd.registry import RUNNERS
from hetkd.terminal import quieten

# What DistillRunner reads and this one does not.
UNREAD = ('activation_checkpointing', 'compile', 'efficient_conv_bn_eval', 'model_wrapper_cfg', 'sync_bn')


@RUNNERS.register_module()
class StrategyRunner(LastingRun, FlexibleRunner):
    """mmengine's ``FlexibleRunner`` with the order of ``Runner``, atomic checkpoints and safe resume.

    Raises:
        UserError: a key that only ``DistillRunner`` reads, or a hook that needs the whole student.
    """

    @classmethod
    def from_cfg(cls, cfg) -> 'StrategyRunner':
        """Build it from a config."""
        unread = [key for key in UNREAD if cfg.get(key)]
        if unread:
            raise UserError(
                'strategy',
                f'none of {list(UNREAD)} beside it',
                unread,
                'leave them out (sync_bn belongs into the strategy)',
            )
        return super().from_cfg(cfg)

    def build_strategy(self, *args, **kwargs):
        """mmengine's, which has the logger; what the libraries say goes to the log file alone."""
        strategy = super().build_strategy(*args, **kwargs)
        quieten(strategy.logger)
        return strategy

    def register_hooks(self, default_hooks=None, custom_hooks=None) -> None:
        """mmengine's; a hook that needs all parameters in each process is refused."""
        super().register_hooks(default_hooks, custom_hooks)
        for hook in self.hooks:
            if isinstance(hook, EMAHook) or (isinstance(hook, GradientCosineHook) and hook.interval > 0):
                raise UserError(
                    type(hook).__name__,
                    'a student that is whole in each process',
                    'one that FSDP splits',
                    'leave out the hook, or the strategy',
                )

    def load_or_resume(self) -> None:
        """Not yet: hooks size what a checkpoint fills (CRD's banks)."""

    def fill_model(self, state_dict: dict) -> None:
        """Each process takes its pieces."""
        self.strategy.load_model_state_dict(state_dict, strict=True)

    def call_hook(self, fn_name: str, **kwargs) -> None:
        """Load the checkpoint when all hooks have had their ``before_run``, as ``Runner`` does."""
        super().call_hook(fn_name, **kwargs)
        if fn_name == 'before_run':
            super().load_or_resume()
