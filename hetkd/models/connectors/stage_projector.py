"""Projection of student stages to descriptors of one width."""

import math
from itertools import pairwise
from typing import Sequence

import torch
from torch import nn

from hetkd.arguments import Count
from hetkd.errors import UserError
from hetkd.registry import MODELS

from .init import init_connector
from .sep_conv import SepConv


@MODELS.register_module()
class StageProjector(nn.Module):
    """Project every stage to ``out_channels`` on the deepest stage's grid, then average (MLDR-KD, OFA-KD).

    Stage i gets log2(deepest stride / its stride) :class:`SepConv` blocks, channels doubling with each
    and the last giving ``out_channels``. A stage that is on the deepest grid already gets one 1x1
    convolution without norm or activation; so do all stages of an isotropic net (our decision;
    the papers' students are hierarchical). A SepConv halves a grid rounding up, as the papers' nets do; with
    a net that rounds down grids may differ by a cell or two, which the average tolerates.

    The papers average after each projection. A 1x1 convolution of the average is the average of the 1x1
    convolution, at a cost smaller by the number of cells, so there it is the map that is averaged.

    Args:
        channels: C_i of each stage, shallow to deep.
        strides: stride of each stage.
        out_channels: P.
        final_bias: whether the 1x1 convolution of the deepest grid has a bias: no in MLDR-KD, yes in HCD.

    Raises:
        UserError: there are no stages, or strides do not grow.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[int],
        out_channels: Count,
        final_bias: bool = False,
    ):
        super().__init__()
        if not channels or len(channels) != len(strides) or list(strides) != sorted(strides):
            raise UserError(
                'StageProjector',
                'stages from shallow to deep',
                f'channels {list(channels)} and strides {list(strides)}',
                'take a student with stages, or set its stage_indices',
            )
        self.out_channels = out_channels
        self.projections = nn.ModuleList(
            _projection(width, round(math.log2(strides[-1] / stride)), out_channels, final_bias)
            for width, stride in zip(channels, strides)
        )
        self.apply(init_connector)

    def forward(self, stages: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """(N, C_i, H_i, W_i) each to descriptors (N, P) each."""
        return tuple(_describe(*pair) for pair in zip(self.projections, stages, strict=True))


def _describe(projection: nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    if isinstance(projection[0], SepConv):
        return _average(projection(x)).flatten(1)
    return projection(_average(x)).flatten(1)


def _average(x: torch.Tensor) -> torch.Tensor:
    # The gradient of mean() is a whole map, in another memory format than a channels_last one: on a CPU batch
    # norm and ReLU before it then took three times as long.
    return x.sum((2, 3), keepdim=True) / (x.shape[2] * x.shape[3])


def _projection(width: int, blocks: int, out_channels: int, final_bias: bool) -> nn.Sequential:
    if blocks == 0:
        return nn.Sequential(nn.Conv2d(width, out_channels, 1, bias=final_bias))
    widths = [width * 2**i for i in range(blocks)] + [out_channels]
    return nn.Sequential(*(SepConv(a, b) for a, b in pairwise(widths)))
