"""Copies from the CPU to the training device that the host does not wait for."""

import torch


def to_device(value: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor on a device. From the CPU to a GPU it goes through pinned memory.

    Only a copy from pinned memory can overlap with the host. torch keeps that memory until the copy is done.
    """
    if torch.device(device).type == 'cuda' and value.device.type == 'cpu':
        value = value.pin_memory()
    return value.to(device, non_blocking=True)
