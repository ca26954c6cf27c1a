"""Readers of the stages of mmpretrain backbones, one for each family.

A reader is called with images and candidate indices and gives the maps of those indices and, from the same
forward, the features the neck and head take, exactly as the plain forward gives them. No parameter is
added or lost: the backbone's state dict stays the plain one.
"""

from typing import Sequence

import torch
from torch import nn

from hetkd.errors import UserError

from .contract import token_grid


class IndexReader:
    """Backbones whose ``out_indices`` give (N, C, H, W) maps: ResNet, MobileNet, VGG, Swin, ...

    Some (Swin) put a norm before each output that they were built to give, by default the last alone. Indices
    that the backbone was built without get an identity there: their stages are the raw outputs of a block.
    """

    def __init__(self, backbone: nn.Module):
        self.backbone = backbone
        self.plain = tuple(backbone.out_indices)
        self.depth = _depth(backbone)
        if hasattr(backbone, f'norm{self.plain[-1]}'):
            for index in set(range(self.depth)) - set(self.plain):
                if not hasattr(backbone, f'norm{index}'):
                    backbone.add_module(f'norm{index}', nn.Identity())

    def __call__(self, inputs: torch.Tensor, indices: Sequence[int]):
        indices = [index % self.depth for index in indices]
        asked = tuple(sorted({*indices, *self.plain}))
        # The public option of all these backbones; put back so that a plain forward stays plain.
        self.backbone.out_indices = asked
        try:
            outputs = dict(zip(asked, self.backbone(inputs)))
        finally:
            self.backbone.out_indices = self.plain
        features = tuple(outputs[index] for index in self.plain)
        return [self.to_map(outputs[index], inputs) for index in indices], features

    def to_map(self, output: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """An output of the backbone as a map (N, C, H, W)."""
        if not torch.is_tensor(output) or output.dim() != 4:
            raise UserError(
                type(self.backbone).__name__,
                'stages as maps (N, C, H, W)',
                tuple(getattr(output, 'shape', ())) or type(output).__name__,
                'use a method on logits or embeddings, or take the net from timm (type="TimmNet")',
            )
        return output

    def of_cells(self, cells: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """What the backbone gives for images whose last map has one cell.

        Args:
            cells: those of the last map (n, C).
        """
        return (cells[..., None, None],)


class MixerReader(IndexReader):
    """MLP-Mixer: (N, C, L) tokens."""

    def to_map(self, output, inputs):
        """(N, C, L) to a map."""
        return output.unflatten(2, token_grid(output.shape[2], inputs))

    def of_cells(self, cells):
        """(n, C) to tokens (n, C, 1)."""
        return (cells[..., None],)


class TokenReader(IndexReader):
    """ViT and its kin: raw (N, L, C) tokens behind ``num_extra_tokens`` prefix tokens."""

    def __call__(self, inputs, indices):
        out_type, self.backbone.out_type = self.backbone.out_type, 'raw'
        try:
            maps, features = super().__call__(inputs, indices)
        finally:
            self.backbone.out_type = out_type
        tokens = features[-1]
        grid = token_grid(tokens.shape[1] - self.backbone.num_extra_tokens, inputs)
        return maps, tuple(self.backbone._format_output(x, grid) for x in features)

    def to_map(self, output, inputs):
        """(N, L, C) to a map without prefix tokens."""
        tokens = output[:, self.backbone.num_extra_tokens :]
        return tokens.mT.unflatten(2, token_grid(tokens.shape[1], inputs))

    def of_cells(self, cells):
        """(n, C) to the backbone's output; a cell also stands for the prefix tokens."""
        tokens = cells[:, None].expand(-1, self.backbone.num_extra_tokens + 1, -1)
        return (self.backbone._format_output(tokens, (1, 1)),)


class ConvNeXtReader(IndexReader):
    """ConvNeXt pools before its output norm, so its maps are read between the stages."""

    def __init__(self, backbone):
        self.backbone = backbone
        self.plain = tuple(backbone.out_indices)
        self.depth = len(backbone.stages)
        if self.plain != (self.depth - 1,):
            raise UserError(
                'ConvNeXt',
                'out_indices of the last stage only',
                self.plain,
                'leave out_indices out of the config',
            )

    def __call__(self, inputs, indices):
        backbone, x, maps = self.backbone, inputs, []
        for downsample, stage in zip(backbone.downsample_layers, backbone.stages):
            x = stage(downsample(x))
            maps.append(x)
        return [maps[index] for index in indices], (self._normed(x),)

    def of_cells(self, cells):
        """(n, C) to the backbone's output."""
        return (self._normed(cells[..., None, None]),)

    def _normed(self, x):
        norm = getattr(self.backbone, f'norm{self.plain[0]}')
        if self.backbone.gap_before_final_norm:
            return norm(x.mean([-2, -1], keepdim=True)).flatten(1)
        return norm(x)


def stage_reader(backbone: nn.Module) -> IndexReader:
    """The reader of a backbone.

    Raises:
        UserError: the backbone gives no stages.
    """
    name = type(backbone).__name__
    if name == 'ConvNeXt':
        return ConvNeXtReader(backbone)
    if not getattr(backbone, 'out_indices', None) or not _depth(backbone):
        raise UserError(
            name,
            'a backbone with stages (out_indices, and a list of its blocks called stages or layers)',
            'one without',
            'use a method on logits or embeddings, or take the net from timm (type="TimmNet")',
        )
    if hasattr(backbone, 'out_type') and hasattr(backbone, '_format_output'):
        return TokenReader(backbone)
    if name == 'MlpMixer':
        return MixerReader(backbone)
    return IndexReader(backbone)


def _depth(backbone: nn.Module) -> int:
    """How many outputs ``out_indices`` can name."""
    for name in ('layers', 'stages'):
        found = getattr(backbone, name, None)
        if isinstance(found, (nn.ModuleList, nn.Sequential, list, tuple)):
            return len(found)
    return len(getattr(backbone, 'stage_blocks', ()))
