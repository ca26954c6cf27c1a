"""Random numbers that depend on a key alone."""

import random
from contextlib import contextmanager
from typing import Sequence

import numpy as np
import torch


@contextmanager
def seeded(*key: int):
    """Inside, ``random``, numpy and torch (on the CPU) draw what depends on the key of integers >= 0 alone.

    The process's own random state is left as it was.
    """
    words = np.random.SeedSequence(key).generate_state(3)
    saved = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    random.seed(int(words[0]))
    np.random.seed(words[1])
    torch.random.default_generator.manual_seed(int(words[2]))
    try:
        yield
    finally:
        random.setstate(saved[0])
        np.random.set_state(saved[1])
        torch.random.set_rng_state(saved[2])


GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniform(key: Sequence[int], index: Sequence[int], count: int) -> torch.Tensor:
    """Numbers in [0, 1) that depend on (key, index) and their place alone, for all indices at once.

    Row n is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), started from a hash of the key and ``index[n]``;
    :func:`seeded` would set up three generators for each index.

    Args:
        key: integers >= 0, such as the seed and the epoch.
        index: N integers >= 0.
        count: numbers for each index.

    Returns:
        (N, count) float64 on the CPU.
    """
    state = np.zeros(1, np.uint64)
    for word in (*key, index):
        state = _mix(state + GOLDEN + np.asarray(word, np.uint64))
    steps = np.arange(1, count + 1, dtype=np.uint64) * GOLDEN
    return torch.from_numpy((_mix(state[:, None] + steps) >> np.uint64(11)) * 2.0**-53)


def _mix(state: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64, a bijection of 64 bits."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
