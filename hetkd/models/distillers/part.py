"""The parts of an algorithm: connectors and losses, each with a default."""

from typing import Optional

from torch import nn

from hetkd.registry import MODELS


def build_part(config: Optional[dict], default: dict, **sizes) -> nn.Module:
    """Build a part from its config.

    Args:
        config: with a ``type``, the whole part. Without one, keys of the default part to change, so that
            ``model.sub_logit.detach=True`` is enough on a command line. None for the default.
        default: config of the default part.
        **sizes: arguments that come from the nets, where the config does not name them.
    """
    config = dict(config or {})
    return MODELS.build(config if 'type' in config else {**default, **config}, default_args=sizes)
