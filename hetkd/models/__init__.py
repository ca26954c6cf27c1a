"""Backbones, nets, connectors, losses and distillers."""

from .backbones import *  # noqa: F403
from .connectors import *  # noqa: F403
from .distillers import *  # noqa: F403
from .losses import *  # noqa: F403
from .nets import *  # noqa: F403
