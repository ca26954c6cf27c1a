"""Initial values of connectors."""

from torch import nn


def init_connector(module: nn.Module) -> None:
    """Convolutions kaiming normal fan_out, BN 1/0, Linear truncated normal std 0.02 with bias 0.

    As in MLDR-KD's released code. For use with ``Module.apply``.
    """
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
