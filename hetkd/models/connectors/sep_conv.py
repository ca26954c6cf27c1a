"""The separable convolution that stage projectors are made of."""

from torch import nn

from hetkd.arguments import Count


class SepConv(nn.Sequential):
    """Two depthwise-separable convolutions, the first of stride 2 (MLDR-KD's and OFA-KD's code).

    depthwise 3x3 stride 2 pad 1 -> 1x1 cin->cin -> BN -> ReLU -> depthwise 3x3 stride 1 pad 1 ->
    1x1 cin->cout -> BN -> ReLU; no convolution bias. (N, cin, H, W) to (N, cout, ceil(H/2), ceil(W/2)).

    Args:
        in_channels: cin.
        out_channels: cout.
    """

    def __init__(self, in_channels: Count, out_channels: Count):
        super().__init__(
            *_separable(in_channels, in_channels, stride=2),
            *_separable(in_channels, out_channels, stride=1),
        )


def _separable(in_channels, out_channels, stride):
    return (
        nn.Conv2d(in_channels, in_channels, 3, stride=stride, padding=1, groups=in_channels, bias=False),
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
