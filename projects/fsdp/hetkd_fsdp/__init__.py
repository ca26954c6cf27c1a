"""Students that do not fit: FSDP."""

from .runner import StrategyRunner
from .strategy import FullyShardStrategy

__all__ = ['FullyShardStrategy', 'StrategyRunner']
