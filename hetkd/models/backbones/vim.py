"""Vision Mamba (Vim)."""

import math
from typing import Optional, Sequence, Union

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from torch import nn

from hetkd.arguments import Count, Share
from hetkd.errors import UserError
from hetkd.ops import selective_scan
from hetkd.registry import MODELS

from .ssm import a_log, decay_rates, drop_path_rates, dt_bias, dt_weight

ARCHITECTURES = {'tiny': 192, 'small': 384}


class BiMamba(nn.Module):
    """Vim's mixer: a forward and a backward scan of the tokens, each with its own parameters.

    Args:
        dim: width of the tokens.
        d_state: N of the scan.
        d_conv: taps of the causal convolution.
        expand: ratio of the inner width to ``dim``.
    """

    def __init__(self, dim: int, d_state: Count = 16, d_conv: int = 4, expand: int = 2):
        super().__init__()
        inner, rank = expand * dim, math.ceil(dim / 16)
        self.inner, self.rank, self.d_state = inner, rank, d_state
        self.in_proj = nn.Linear(dim, 2 * inner, bias=False)
        for name in ('', '_b'):
            self.add_module(
                f'conv1d{name}', nn.Conv1d(inner, inner, d_conv, groups=inner, padding=d_conv - 1)
            )
            self.add_module(f'x_proj{name}', nn.Linear(inner, rank + 2 * d_state, bias=False))
            self.add_module(f'dt_proj{name}', nn.Linear(rank, inner))
            dt_weight(getattr(self, f'dt_proj{name}').weight, rank)
        self.A_log, self.A_b_log = (nn.Parameter(a_log(inner, d_state)) for _ in range(2))
        self.D, self.D_b = (nn.Parameter(torch.ones(inner)) for _ in range(2))
        self.out_proj = nn.Linear(inner, dim, bias=False)
        with torch.no_grad():
            self.dt_proj.bias.copy_(dt_bias(inner))
            self.dt_proj_b.bias.zero_()  # as in the authors' code, which keeps dt_bias in the first only

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(N, L, dim) to (N, L, dim)."""
        length = tokens.shape[1]
        x, gate = self.in_proj(tokens).chunk(2, 2)
        # Both directions are one scan of two groups; the same gate for both comes after it.
        x = torch.stack([x.mT, x.mT.flip(-1)], 1)
        convs, projections, steps = (
            (getattr(self, name), getattr(self, f'{name}_b')) for name in ('conv1d', 'x_proj', 'dt_proj')
        )
        weight, bias = (torch.cat([getattr(conv, name) for conv in convs]) for name in ('weight', 'bias'))
        x = F.conv1d(x.flatten(1, 2), weight, bias, padding=weight.shape[2] - 1, groups=2 * self.inner)
        x = F.silu(x[..., :length]).unflatten(1, (2, -1))
        mixed = torch.stack([layer.weight for layer in projections]) @ x
        dt, B, C = mixed.split([self.rank, self.d_state, self.d_state], 2)
        dt = torch.stack([layer.weight for layer in steps]) @ dt
        y = selective_scan(
            x.flatten(1, 2),
            dt.flatten(1, 2),
            decay_rates(torch.cat([self.A_log, self.A_b_log])),
            B,
            C,
            torch.cat([self.D, self.D_b]),
            delta_bias=torch.cat([layer.bias for layer in steps]),
            delta_softplus=True,
        )
        forwards, backwards = y.mT.unflatten(2, (2, -1)).unbind(2)
        return self.out_proj((forwards + backwards.flip(1)) / 2 * F.silu(gate))


class VimBlock(nn.Module):
    """Vim's block (add, norm, mixer), with the residual stream in float32."""

    def __init__(self, dim: int, drop_path: float, **mixer):
        super().__init__()
        self.mixer = BiMamba(dim, **mixer)
        self.norm = nn.RMSNorm(dim, eps=1e-5)
        self.drop_path = DropPath(drop_path)

    def forward(self, hidden: Optional[torch.Tensor], residual: Optional[torch.Tensor]):
        """The mixer's output and the residual stream before it.

        Either input may be None: ``residual`` before the first block, ``hidden`` if it is already added.
        """
        if residual is None:
            residual = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
        else:
            residual = _joined(residual, hidden, self.drop_path)
        return self.mixer(self.norm(residual.to(self.norm.weight.dtype))), residual


@MODELS.register_module()
class Vim(nn.Module):
    """Vision Mamba (arXiv 2401.09417) with the class token in the middle, as in hustvl/Vim @dd0358a.

    Names and shapes of the state dict are the authors', so their checkpoints load. For images of another size
    than ``img_size`` the position embedding is interpolated (bicubic).

    Args:
        arch: ``'tiny'`` (192 channels) or ``'small'`` (384).
        num_classes: number of logits.
        img_size: image size that the position embedding is for, an int or (height, width).
        patch_size: side of a patch.
        stride: step between patches; default ``patch_size``. 8 in the authors' "+" variants.
        embed_dim: channels, instead of ``arch``'s.
        depth: number of blocks.
        d_state: N of the scan.
        drop_path_rate: stochastic depth, rising over the blocks; shifted by one block as in the authors'
            code, with the last one before the final norm.

    Raises:
        UserError: an unknown arch, or an image size that the patches do not cover exactly.
    """

    def __init__(
        self,
        arch: str = 'tiny',
        num_classes: Count = 1000,
        img_size: Union[int, Sequence[int]] = 224,
        patch_size: Count = 16,
        stride: Optional[Count] = None,
        embed_dim: Optional[Count] = None,
        depth: Count = 24,
        d_state: Count = 16,
        drop_path_rate: Share = 0.0,
    ):
        super().__init__()
        if arch not in ARCHITECTURES:
            raise UserError('arch', f'one of {sorted(ARCHITECTURES)}', repr(arch))
        dim = embed_dim or ARCHITECTURES[arch]
        self.img_size = (img_size, img_size) if isinstance(img_size, int) else tuple(img_size)
        self.patch_size, self.stride, self.depth = patch_size, stride or patch_size, depth
        self.grid = self.grid_of(self.img_size)
        self.patch_embed = nn.ModuleDict(dict(proj=nn.Conv2d(3, dim, patch_size, self.stride)))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, math.prod(self.grid) + 1, dim))
        rates = [0.0, *drop_path_rates(drop_path_rate, depth)]
        self.layers = nn.ModuleList(VimBlock(dim, rate, d_state=d_state) for rate in rates[:depth])
        self.drop_path = DropPath(drop_path_rate)
        self.norm_f = nn.RMSNorm(dim, eps=1e-5)
        self.head = nn.Linear(dim, num_classes)
        self._init()

    def _init(self) -> None:
        std = self.patch_embed['proj'].weight[0].numel() ** -0.5 / 0.8796  # LeCun normal, cut off at 2
        nn.init.trunc_normal_(self.patch_embed['proj'].weight, std=std, a=-2 * std, b=2 * std)
        nn.init.zeros_(self.patch_embed['proj'].bias)
        for tensor in (self.head.weight, self.pos_embed, self.cls_token):
            nn.init.trunc_normal_(tensor, std=0.02)
        nn.init.zeros_(self.head.bias)
        for block in self.layers:
            nn.init.kaiming_uniform_(block.mixer.out_proj.weight, a=math.sqrt(5))
            with torch.no_grad():
                block.mixer.out_proj.weight.div_(math.sqrt(self.depth))

    def grid_of(self, size: Sequence[int]) -> tuple[int, int]:
        """Rows and columns of patches.

        Raises:
            UserError: the patches do not cover the image exactly.
        """
        if any(side < self.patch_size or (side - self.patch_size) % self.stride for side in size):
            raise UserError(
                'Vim',
                f'image sides of {self.patch_size} plus a multiple of {self.stride} pixels',
                tuple(size),
                'resize the images, or choose another patch_size or stride',
            )
        rows, columns = ((side - self.patch_size) // self.stride + 1 for side in size)
        return rows, columns

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) to logits (N, num_classes)."""
        return self.classify(self.features(images)[1])

    def classify(self, embedding: torch.Tensor) -> torch.Tensor:
        return self.head(embedding)

    def features(self, images: torch.Tensor, indices: Sequence[int] = (), last: bool = False):
        """Maps (N, C, rows, columns) after the blocks of these indices, and the embedding (N, C).

        With ``last``, also the map after the final norm.
        """
        grid = self.grid_of(images.shape[2:])
        tokens = self.patch_embed['proj'](images).flatten(2).mT
        middle = tokens.shape[1] // 2
        cls_token = self.cls_token.expand(tokens.shape[0], -1, -1)
        hidden = torch.cat([tokens[:, :middle], cls_token, tokens[:, middle:]], 1) + self._positions(grid)
        residual, streams = None, {}
        for index, block in enumerate(self.layers):
            hidden, residual = block(hidden, residual)
            if index in indices:
                streams[index] = residual + hidden
                if not self.training:  # pass on the sum itself, so that the logits depend on the map
                    hidden, residual = None, streams[index]
        final = self.norm_f(_joined(residual, hidden, self.drop_path).to(self.norm_f.weight.dtype))
        maps = [_to_map(streams[index], middle, grid) for index in indices]
        return (maps, final[:, middle], *([_to_map(final, middle, grid)] if last else ()))

    def _positions(self, grid: tuple[int, int]) -> torch.Tensor:
        """The position embedding of a grid, with the class token's in the middle."""
        if grid == self.grid:
            return self.pos_embed
        middle = math.prod(self.grid) // 2
        patches = _to_map(self.pos_embed.float(), middle, self.grid)
        patches = F.interpolate(patches, grid, mode='bicubic', antialias=True, align_corners=False)
        patches = patches.flatten(2).mT.to(self.pos_embed.dtype)
        new = patches.shape[1] // 2
        return torch.cat([patches[:, :new], self.pos_embed[:, middle : middle + 1], patches[:, new:]], 1)


def _joined(residual: torch.Tensor, hidden: Optional[torch.Tensor], drop_path: nn.Module) -> torch.Tensor:
    """Add a block's output to the residual stream; None is an output that is already added."""
    return residual if hidden is None else residual + drop_path(hidden)


def _to_map(tokens: torch.Tensor, middle: int, grid: tuple[int, int]) -> torch.Tensor:
    """Tokens (N, 1 + rows columns, C) to a map without the class token in the middle."""
    tokens = torch.cat([tokens[:, :middle], tokens[:, middle + 1 :]], 1)
    return tokens.mT.unflatten(2, grid)
