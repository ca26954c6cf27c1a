"""The runner of configs with a ``strategy``."""

from mmengine.runner import FlexibleRunner

from hetkd.registry import RUNNERS, SCOPE

from .lasting import LastingRun

# What DistillRunner reads and this one does not.
UNREAD = ('activation_checkpointing', 'compile', 'efficient_conv_bn_eval', 'model_wrapper_cfg', 'sync_bn')


@RUNNERS.register_module()
class StrategyRunner(LastingRun, FlexibleRunner):
    """mmengine's ``FlexibleRunner`` with the order of ``Runner``, in which nothing is lost.

    Raises:
        ValueError: a key of the config that only :class:`DistillRunner` reads.
    """

    @classmethod
    def from_cfg(cls, cfg) -> 'StrategyRunner':
        """Build it from a config."""
        unread = [key for key in UNREAD if cfg.get(key)]
        if unread:
            raise ValueError(
                f'strategy: expected none of {list(UNREAD)} beside it, got {unread}; leave them out '
                f'(sync_bn belongs into the strategy)'
            )
        return super().from_cfg(cfg)

    def build_strategy(self, strategy, **kwargs):
        """mmengine builds it before it sets the scope."""
        strategy.setdefault('_scope_', self.cfg.get('default_scope', SCOPE))
        return super().build_strategy(strategy, **kwargs)

    def load_or_resume(self) -> None:
        """Not yet: hooks size what a checkpoint fills (CRD's banks)."""

    def call_hook(self, fn_name: str, **kwargs) -> None:
        """Load the checkpoint when all hooks have had their ``before_run``, as ``Runner`` does."""
        super().call_hook(fn_name, **kwargs)
        if fn_name == 'before_run':
            super().load_or_resume()
