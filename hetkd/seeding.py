"""Random numbers that depend on a key alone."""

import random
from contextlib import contextmanager

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
