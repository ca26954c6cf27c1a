"""History of a logged value whose length costs nothing at a step."""

import numpy as np
from mmengine.logging import HistoryBuffer

LIMIT = 4096


def _merged(array: str) -> property:
    """An array of a history, with all its values when it is read."""

    def read(history: 'LateHistory') -> np.ndarray:
        if history._late:
            history._merge()
        return getattr(history, array)

    return property(read, lambda history, values: setattr(history, array, values))


class LateHistory(HistoryBuffer):
    """mmengine's ``HistoryBuffer`` that takes new values into its arrays when somebody reads them.

    mmengine's copies the whole history at each value: 1.6 MB for each logged value of step 100,000.
    """

    def __init__(self, *args, **kwargs):
        self._late: list[tuple[float, int]] = []
        super().__init__(*args, **kwargs)

    def update(self, log_val, count: int = 1) -> None:
        """Take a value."""
        if not isinstance(log_val, (int, float)) or not isinstance(count, (int, float)):
            super().update(log_val, count)  # raises
        self._late.append((log_val, count))
        if len(self._late) >= LIMIT:
            self._merge()

    def current(self):
        """The last value."""
        return self._late[-1][0] if self._late else super().current()

    def _merge(self) -> None:
        late, self._late = self._late, []
        for array, values in zip(('_logs', '_counts'), zip(*late)):
            setattr(self, array, np.append(getattr(self, array), values)[-self.max_length :])

    # mmengine's names of the arrays.
    _log_history, _count_history = _merged('_logs'), _merged('_counts')
