"""Watch of a distributed run: name the process that is waited for, and end a run that waits too long."""

import os
import threading
import time

from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from torch.distributed import PrefixStore, distributed_c10d

from hetkd.arguments import Positive
from hetkd.registry import HOOKS


@HOOKS.register_module()
class WaitingHook(Hook):
    """Say which process is awaited, and end the run if it does not come.

    Collective operations wait in silence for half an hour. Here each process notes its step, and that it is
    alive, in the store of the process group. One that has made no step for a while looks for the others that
    are silent or behind.

    Args:
        warn_after: seconds without a step until a line says who is awaited.
        end_after: seconds without a step until the run ends with status 1.
    """

    def __init__(self, warn_after: Positive = 60.0, end_after: Positive = 1800.0):
        self.warn_after, self.end_after = warn_after, end_after
        self._stop = threading.Event()
        self._step = 0

    def before_train(self, runner) -> None:
        """Begin to watch, in a thread."""
        if get_world_size() > 1:
            self._stop.clear()
            threading.Thread(target=self._watch, args=(runner,), daemon=True).start()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Count steps."""
        self._step = runner.iter + 1

    def after_train(self, runner) -> None:
        """Stop watching."""
        self._stop.set()

    def release(self, runner) -> None:
        """The same, also after an error; called by the runner."""
        self._stop.set()

    def _watch(self, runner) -> None:
        store = PrefixStore('waiting', distributed_c10d._get_default_store())
        rank, others = get_rank(), [x for x in range(get_world_size()) if x != get_rank()]
        poll, beat, last = min(5.0, self.warn_after / 3), 0, None
        since = said = time.monotonic()
        while not self._stop.wait(poll):
            beat += 1
            if self._step != last:
                last, since = self._step, time.monotonic()
            waited = time.monotonic() - since
            try:
                store.set(str(rank), f'{self._step} {beat}')
                if waited < self.warn_after:
                    continue
                before = self._notes(store, others)
                if self._stop.wait(2 * poll):
                    return
                awaited = _awaited(before, self._notes(store, others), self._step)
            except Exception as error:  # the store's process is stopped, or gone
                awaited = [f'that of the store ({type(error).__name__})']
            if awaited and time.monotonic() - said > self.warn_after:
                said = time.monotonic()
                runner.logger.warning(
                    f'process {rank}, after step {self._step}, has waited for {waited:.0f} s for process '
                    f'{", ".join(awaited)}; the run ends after {self.end_after:.0f} s'
                )
            if awaited and waited > self.end_after:
                runner.logger.error(f'process {", ".join(awaited)} did not come; resume with --resume')
                os._exit(1)

    @staticmethod
    def _notes(store, ranks: list[int]) -> dict[int, str]:
        return {x: store.get(str(x)).decode() if store.check([str(x)]) else '0 0' for x in ranks}


def _awaited(before: dict[int, str], now: dict[int, str], step: int) -> list[str]:
    """Processes that gave no sign of life between two looks, or are behind."""
    silent = [f'{x} (stopped or gone, after step {now[x].split()[0]})' for x in now if now[x] == before[x]]
    behind = [f'{x} (after step {now[x].split()[0]})' for x in now if int(now[x].split()[0]) < step]
    return silent or behind
