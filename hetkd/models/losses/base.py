"""The base of the registered losses: a function with fixed options, times a weight."""

from typing import Callable

import torch
from torch import nn

from hetkd.arguments import Weight
from hetkd.functional.checks import check_temperature, check_weights


class FunctionLoss(nn.Module):
    """A pure function of :mod:`hetkd.functional` as a module. A subclass names its inputs in ``forward``.

    Args:
        function: tensors and options to a tensor.
        loss_weight: factor of the result.
        **options: keyword arguments of the function.

    Raises:
        UserError: a ``temperature`` among the options that is not a finite number > 0, or a weight that is
            not a finite number >= 0.
    """

    def __init__(self, function: Callable[..., torch.Tensor], loss_weight: Weight, **options):
        super().__init__()
        if 'temperature' in options:
            check_temperature(options['temperature'])
        weights = {key: value for key, value in options.items() if key.endswith('_weight')}
        check_weights(loss_weight=loss_weight, **weights)
        self.function = function
        self.loss_weight = loss_weight
        self.options = options

    def weighted(self, *tensors: torch.Tensor, **more) -> torch.Tensor:
        """The function's value, times the weight."""
        return self.loss_weight * self.function(*tensors, **self.options, **more)


class StageLoss(FunctionLoss):
    """A function of two maps, summed over the matched stages."""

    needs = ('stages',)

    def forward(self, student, teacher, target=None):
        """Student and teacher :class:`~hetkd.models.nets.NetOutput` with matched stages to a scalar."""
        pairs = zip(student.stages, teacher.stages, strict=True)
        return self.loss_weight * sum(self.function(a, b, **self.options) for a, b in pairs)
