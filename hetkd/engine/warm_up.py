"""A linear warm-up for runs of any length."""

from mmengine.optim import LinearLR

from hetkd.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class WarmUpLR(LinearLR):
    """mmengine's ``LinearLR`` that lasts two steps at least where epochs are converted to steps.

    In runs of few steps a share of the run is less than a step, which mmengine refuses, or one, from which
    its rate does not rise.
    """

    @classmethod
    def build_iter_from_epoch(cls, *args, begin=0, end, epoch_length, **kwargs):
        """See mmengine. Epochs may be fractions."""
        end = max(end, begin + 2.001 / epoch_length)  # mmengine rounds down
        return super().build_iter_from_epoch(*args, begin=begin, end=end, epoch_length=epoch_length, **kwargs)
