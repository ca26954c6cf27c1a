"""Logging that does not wait for the device."""

import torch
from mmengine.logging import HistoryBuffer, MessageHub

from .log_history import LateHistory
from .plain_values import log_histories

LIMIT = 8192


class DeferredMessageHub(MessageHub):
    """mmengine's ``MessageHub`` that reads a logged tensor when it is asked for, not when it is logged.

    Reading a value (``.item()``) makes the host wait until the device has computed it, at every loss of every
    step. Here tensors are kept, and read in one go when the log is written.

    Args:
        name: name of the run.
    """

    def __init__(self, name: str, **kwargs):
        super().__init__(name, **kwargs)
        self._kept: list[tuple[str, torch.Tensor, int]] = []
        self._kept_keys: set[str] = set()
        # mmengine finds the hub of the run in this table.
        MessageHub._instance_dict[name] = self

    def update_scalar(self, key: str, value, count: int = 1, resumed: bool = True) -> None:
        """Keep a tensor of one element; take anything else as it is."""
        if not torch.is_tensor(value):
            self._add(key, value, count, resumed)
            return
        self._set_resumed_keys(key, resumed)
        value = value.detach()
        self._kept.append((key, value.reshape(()) if value.dim() else value, count))
        self._kept_keys.add(key)
        if len(self._kept) >= LIMIT:
            self._read()

    def _read(self) -> None:
        kept, self._kept = self._kept, []
        self._kept_keys.clear()
        for device in {value.device for _, value, _ in kept}:
            here = [x for x in kept if x[1].device == device]
            # Together in the widest type; an integer may be too large for it.
            values = [x if x.is_floating_point() else x.double() for _, x, _ in here]
            values = torch.stack(values).tolist()
            for (key, _, count), value in zip(here, values):
                self._add(key, value, count, self._resumed_keys[key])

    def _add(self, key: str, value, count: int, resumed: bool) -> None:
        super().update_scalar(key, value, count, resumed)
        if type(self._log_scalars[key]) is HistoryBuffer:
            self._log_scalars[key] = LateHistory(*self._log_scalars[key].data)

    @property
    def log_scalars(self):
        """All histories."""
        self._read()
        return self._log_scalars

    def get_scalar(self, key: str) -> HistoryBuffer:
        """One history. Reads only if its values are kept: ``IterTimerHook`` asks for a time at each step."""
        if key in self._log_scalars and key not in self._kept_keys:
            return self._log_scalars[key]
        return super().get_scalar(key)

    def state_dict(self) -> dict:
        """For a checkpoint."""
        self._read()
        return super().state_dict()

    def load_state_dict(self, state_dict: dict) -> None:
        """Of a checkpoint."""
        self._kept = []
        self._kept_keys.clear()
        super().load_state_dict({**state_dict, 'log_scalars': log_histories(state_dict['log_scalars'])})
