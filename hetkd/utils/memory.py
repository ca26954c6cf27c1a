"""Peak memory."""

import resource
import sys

import torch


def peak_memory_mib() -> float:
    """Peak memory of this process in MiB: CUDA tensors, or without a GPU the resident set."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == 'darwin' else peak / 2**10
