"""Outputs and specs of a net."""

import math
from dataclasses import dataclass
from typing import NamedTuple, Optional, Sequence

import torch

from hetkd.errors import UserError

PARTS = ('logits', 'stages', 'embedding')


class NetOutput(NamedTuple):
    """One forward of a net; what was not asked for is empty."""

    logits: Optional[torch.Tensor]
    """(N, C); None for a net without a class head."""
    stages: tuple[torch.Tensor, ...] = ()
    """(N, C_i, H_i, W_i), shallow to deep. Token nets give maps without prefix tokens."""
    embedding: Optional[torch.Tensor] = None
    """(N, D): what the last linear layer sees."""
    mean: Optional[torch.Tensor] = None
    """(N, D): the mean over the last map, after the norm that precedes pooling, without prefix tokens."""
    class_map: Optional[torch.Tensor] = None
    """(N, C, H, W): the last linear layer, without its bias, at each position of the last map."""


def asked(needs: Sequence[str]) -> dict[str, bool]:
    """The arguments of a forward that gives the parts that are needed, and no other."""
    return dict.fromkeys(PARTS, False) | dict.fromkeys(needs, True)


def token_grid(count: int, inputs: torch.Tensor) -> tuple[int, int]:
    """(rows, columns) of ``count`` tokens in the images' aspect ratio.

    Raises:
        UserError: they fill no grid.
    """
    rows = round((count * inputs.shape[2] / inputs.shape[3]) ** 0.5)
    if not rows or count % rows:
        raise UserError('net', 'a token for each cell of a grid', f'{count} tokens', 'use another net')
    return rows, count // rows


@dataclass(frozen=True)
class StageSpec:
    """One stage: its channels and its stride against the input image."""

    channels: int
    stride: int


@dataclass(frozen=True)
class InputSpec:
    """The images a net was made for.

    ``mean`` and ``std`` are per channel (RGB) on the 0-255 scale, ``size`` is (height, width). None: not
    declared, the data's are taken. Three ``channels`` are RGB.
    """

    mean: Optional[tuple[float, ...]] = None
    std: Optional[tuple[float, ...]] = None
    size: Optional[tuple[int, int]] = None
    channels: int = 3


def select_stages(shapes: Sequence[tuple[int, ...]], input_size: tuple[int, int], count: int = 4):
    """Choose a net's stages among the maps it can give.

    A net whose grid shrinks gives the last map at each of its ``count`` deepest strides (ResNet:
    layer1-4). An isotropic one (ViT, Mixer) gives the blocks at 1/6, 1/3, 5/6 and all of its depth: 1, 3,
    9, 11 of 12, the taps of MLDR-KD and OFA-KD.

    Args:
        shapes: (N, C, H, W) of each candidate, shallow to deep.
        input_size: (height, width) of the image that gave them.
        count: how many stages at most.

    Returns:
        Indices into ``shapes``, increasing.
    """
    strides = [round(input_size[0] / shape[2]) for shape in shapes]
    if len(set(strides)) > 1:
        last = {stride: index for index, stride in enumerate(strides)}
        return tuple(sorted(last.values())[-count:])
    depth = len(shapes)
    if depth <= count:
        return tuple(range(depth))
    ends = [math.ceil(depth * part) for part in (1 / 6, 1 / 3, 5 / 6, 1)]
    return tuple(min(max(end, i + 1), depth - count + i + 1) - 1 for i, end in enumerate(ends))
