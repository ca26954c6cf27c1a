"""Backbones, nets, connectors, losses, preprocessors and distillers."""

from .backbones import *  # noqa: F403
from .connectors import *  # noqa: F403
from .distillers import *  # noqa: F403
from .losses import *  # noqa: F403
from .nets import *  # noqa: F403
from .preprocessors import *  # noqa: F403
