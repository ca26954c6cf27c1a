"""VMamba."""

import math
from typing import Optional, Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from torch import nn

from hetkd.arguments import Count, Share
from hetkd.errors import UserError
from hetkd.ops import selective_scan
from hetkd.registry import MODELS

from .ssm import a_log, decay_rates, drop_path_rates, dt_bias, dt_weight
from .vmamba_keys import rename_keys

# Depths, first width, ratio of inner to outer width of a block, states.
ARCHITECTURES = {
    'tiny': ((2, 2, 8, 2), 96, 1, 1),  # s1l8, "VMamba-T" of the authors' README
    'tiny-s2l5': ((2, 2, 5, 2), 96, 2, 1),
    'small': ((2, 2, 15, 2), 96, 2, 1),  # s2l15
    'base': ((2, 2, 15, 2), 128, 2, 1),
    'small-s1l20': ((2, 2, 20, 2), 96, 1, 1),
    'base-s1l20': ((2, 2, 20, 2), 128, 1, 1),
    'vanilla-tiny': ((2, 2, 9, 2), 96, 2, 16),
    'vanilla-small': ((2, 2, 27, 2), 96, 2, 16),
    'vanilla-base': ((2, 2, 27, 2), 128, 2, 16),
}
DIRECTIONS = 4


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of a map (N, C, H, W)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Linear2d(nn.Linear):
    """A linear layer over the channels of a map (N, C, H, W)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in, H, W) to (N, out, H, W)."""
        return F.conv2d(x, self.weight[..., None, None], self.bias)


class Mlp(nn.Module):
    """Two linear layers on a map with GELU between."""

    def __init__(self, dim: int, hidden: int):
        super().__init__()
        self.fc1, self.fc2 = Linear2d(dim, hidden), Linear2d(hidden, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class SS2D(nn.Module):
    """VMamba's 2D selective scan: along rows and columns, forwards and backwards, summed.

    Args:
        dim: channels of the map.
        ratio: ratio of the inner width to ``dim``.
        d_state: N of the scan.
        vanilla: the first version, with a gate, a bias in the convolution, and that version's parameter
            names.
    """

    def __init__(self, dim: int, ratio: Count, d_state: Count, vanilla: bool):
        super().__init__()
        inner, rank = ratio * dim, math.ceil(dim / 16)
        self.rank, self.d_state, self.vanilla = rank, d_state, vanilla
        self.in_proj = Linear2d(dim, 2 * inner if vanilla else inner, bias=False)
        self.conv2d = nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=vanilla)
        rows = rank + 2 * d_state
        if vanilla:
            self.x_proj_weight = nn.Parameter(torch.empty(DIRECTIONS, rows, inner))
            self.dt_projs_weight = nn.Parameter(torch.empty(DIRECTIONS, inner, rank))
        else:  # as named in the authors' current code; only the weights of these layers are used
            self.x_proj = nn.Linear(inner, DIRECTIONS * rows, bias=False)
            self.dt_projs = nn.Linear(rank, DIRECTIONS * inner, bias=False)
        self.dt_projs_bias = nn.Parameter(dt_bias(DIRECTIONS, inner))
        self.A_logs = nn.Parameter(a_log(DIRECTIONS * inner, d_state))
        self.Ds = nn.Parameter(torch.ones(DIRECTIONS * inner))
        self.out_norm = LayerNorm2d(inner)
        self.out_proj = Linear2d(inner, dim, bias=False)

    def projections(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights (4, rank + 2 N, inner) and (4, inner, rank), views of the parameters."""
        if self.vanilla:
            return self.x_proj_weight, self.dt_projs_weight
        return tuple(x.weight.unflatten(0, (DIRECTIONS, -1)) for x in (self.x_proj, self.dt_projs))

    def init_weights(self) -> None:
        """Initial values as in the code that trained the authors' checkpoints."""
        x_proj, dt_projs = self.projections()
        nn.init.uniform_(x_proj, -(x_proj.shape[2] ** -0.5), x_proj.shape[2] ** -0.5)
        dt_weight(dt_projs, self.rank)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, dim, H, W) to (N, dim, H, W)."""
        x = self.in_proj(x)
        if self.vanilla:
            x, gate = x.chunk(2, 1)
        x = self.out_norm(self.scan(F.silu(self.conv2d(x))))
        if self.vanilla:
            x = x * F.silu(gate)
        return self.out_proj(x)

    def scan(self, x: torch.Tensor) -> torch.Tensor:
        """Sum of the four scans of a map."""
        size = x.shape[2:]
        x = torch.stack([x.flatten(2), x.mT.flatten(2)], 1)
        x = torch.cat([x, x.flip(-1)], 1)  # rows, columns, rows and columns backwards
        x_proj, dt_projs = self.projections()
        dt, B, C = (x_proj @ x).split([self.rank, self.d_state, self.d_state], 2)
        y = selective_scan(
            x.flatten(1, 2),
            (dt_projs @ dt).flatten(1, 2),
            decay_rates(self.A_logs),
            B,
            C,
            self.Ds,
            delta_bias=self.dt_projs_bias.flatten(),
            delta_softplus=True,
        ).unflatten(1, (DIRECTIONS, -1))
        y = y[:, :2] + y[:, 2:].flip(-1)
        rows, columns = y.unbind(1)
        return rows.unflatten(2, size) + columns.unflatten(2, size[::-1]).mT


class VSSBlock(nn.Module):
    """``x + SS2D(norm(x))``, followed by ``x + MLP(norm(x))`` except in the first version."""

    def __init__(self, dim: int, drop_path: float, ratio: Count, d_state: Count, vanilla: bool):
        super().__init__()
        self.norm = LayerNorm2d(dim)
        self.op = SS2D(dim, ratio, d_state, vanilla)
        self.drop_path = DropPath(drop_path)
        self.norm2, self.mlp = (None, None) if vanilla else (LayerNorm2d(dim), Mlp(dim, 4 * dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, dim, H, W) to the same."""
        x = x + self.drop_path(self.op(self.norm(x)))
        return x if self.mlp is None else x + self.drop_path(self.mlp(self.norm2(x)))


class PatchMerging(nn.Module):
    """The four pixels of each 2x2 patch side by side: top left, bottom left, top right, bottom right."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, 4C, H/2, W/2); an odd last row or column is padded with zeros."""
        x = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        return torch.cat([x[..., i::2, j::2] for j in (0, 1) for i in (0, 1)], 1)


@MODELS.register_module()
class VMamba(nn.Module):
    """VMamba (arXiv 2401.10166), as in MzeroMiko/VMamba @2ed52ea.

    Names and shapes of the state dict are those of the authors' current code. Checkpoints with their two
    older naming schemes load as well.

    Args:
        arch: ``'tiny'`` (s1l8, the authors' current VMamba-T), ``'tiny-s2l5'``, ``'small'``, ``'base'``,
            ``'small-s1l20'``, ``'base-s1l20'``, or the first version's ``'vanilla-tiny'``,
            ``'vanilla-small'``, ``'vanilla-base'``.
        num_classes: number of logits.
        depths: blocks of each stage, instead of ``arch``'s.
        embed_dim: channels of the first stage, instead of ``arch``'s; they double in each further stage.
        drop_path_rate: stochastic depth, rising over the blocks. The authors train tiny with 0.2, small with
            0.3, base with 0.6.

    Raises:
        UserError: an unknown arch.
    """

    def __init__(
        self,
        arch: str = 'tiny',
        num_classes: Count = 1000,
        depths: Optional[Sequence[int]] = None,
        embed_dim: Optional[Count] = None,
        drop_path_rate: Share = 0.0,
    ):
        super().__init__()
        if arch not in ARCHITECTURES:
            raise UserError('arch', f'one of {sorted(ARCHITECTURES)}', repr(arch))
        own_depths, own_dim, ratio, d_state = ARCHITECTURES[arch]
        depths, dim, vanilla = depths or own_depths, embed_dim or own_dim, arch.startswith('vanilla')
        self.depth = len(depths)
        dims = [dim * 2**i for i in range(self.depth)]
        self.patch_embed = _vanilla_stem(dim) if vanilla else _stem(dim)
        rates = iter(drop_path_rates(drop_path_rate, sum(depths)))
        options = dict(ratio=ratio, d_state=d_state, vanilla=vanilla)
        self.layers = nn.ModuleList()
        for width, count in zip(dims, depths):
            layer = nn.ModuleDict()
            layer['blocks'] = nn.Sequential(*(VSSBlock(width, next(rates), **options) for _ in range(count)))
            layer['downsample'] = nn.Identity() if width == dims[-1] else _downsample(width, vanilla)
            self.layers.append(layer)
        self.classifier = nn.ModuleDict(
            dict(
                norm=LayerNorm2d(dims[-1]),
                head=nn.Linear(dims[-1], num_classes),
            )
        )
        self.apply(_init)
        self.register_load_state_dict_pre_hook(rename_keys)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) to logits (N, num_classes)."""
        return self.classify(self.features(images)[1])

    def classify(self, embedding: torch.Tensor) -> torch.Tensor:
        return self.classifier['head'](embedding)

    def features(self, images: torch.Tensor, indices: Sequence[int] = (), last: bool = False):
        """Maps after the blocks of the stages of these indices, and the embedding (N, C).

        With ``last``, also the map after the final norm.
        """
        x, maps = self.patch_embed(images), {}
        for index, layer in enumerate(self.layers):
            x = maps[index] = layer['blocks'](x)
            x = layer['downsample'](x)
        x = self.classifier['norm'](x)
        return ([maps[index] for index in indices], x.mean((2, 3)), *([x] if last else ()))


def _stem(dim: int) -> nn.Sequential:
    half = dim // 2
    # nn.Identity stands for the authors' permutations: the indices are part of the weights' names.
    return nn.Sequential(
        nn.Conv2d(3, half, 3, 2, 1),
        nn.Identity(),
        LayerNorm2d(half),
        nn.Identity(),
        nn.GELU(),
        nn.Conv2d(half, dim, 3, 2, 1),
        nn.Identity(),
        LayerNorm2d(dim),
    )


def _vanilla_stem(dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, dim, 4, 4), nn.Identity(), LayerNorm2d(dim))


def _downsample(dim: int, vanilla: bool) -> nn.Sequential:
    if vanilla:
        return nn.Sequential(PatchMerging(), LayerNorm2d(4 * dim), Linear2d(4 * dim, 2 * dim, bias=False))
    conv = nn.Conv2d(dim, 2 * dim, 3, 2, 1)
    return nn.Sequential(nn.Identity(), conv, nn.Identity(), LayerNorm2d(2 * dim))


def _init(module: nn.Module) -> None:
    """Truncated normal of 0.02 for linear layers; the scan initialises its own parameters."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, SS2D):  # after its children, so that its own initial values stay
        module.init_weights()
