"""Histories of logged values: mmengine's numbers, without a copy of the history at each value."""

import numpy as np
import pytest
from mmengine.logging import HistoryBuffer

from hetkd.engine.log_history import LIMIT, LateHistory
from hetkd.engine.message_hub import DeferredMessageHub


def filled(kind, number: int, **kwargs):
    history = kind([0.5], [1], **kwargs)
    for i in range(number):
        history.update(float(np.sin(i)), i % 3 + 1)
    return history


@pytest.mark.parametrize('number', [0, 1, 20, LIMIT + 3])
@pytest.mark.parametrize('max_length', [7, 10**6])
def test_reads_as_mmengines(number, max_length):
    mine, theirs = (filled(x, number, max_length=max_length) for x in (LateHistory, HistoryBuffer))
    assert mine.current() == theirs.current() == mine.statistics('current')
    for method in ('mean', 'max', 'min'):
        for window in (None, 3):
            assert mine.statistics(method, window) == theirs.statistics(method, window)
    for a, b in zip(mine.data, theirs.data):
        np.testing.assert_array_equal(a, b)
        assert a.dtype == b.dtype


def test_a_value_of_another_kind_is_refused():
    with pytest.raises(TypeError, match='log_val must be int or float'):
        LateHistory().update('0.5')


@pytest.mark.parametrize('resumed', [False, True])
def test_a_step_of_a_run_copies_no_history(monkeypatch, resumed):
    hub = DeferredMessageHub(f'late{resumed}')
    for _ in range(2):
        hub.update_scalar('train/time', 0.1)
    if resumed:
        state, hub = hub.state_dict(), DeferredMessageHub('late again')
        hub.load_state_dict(state)
        hub.update_scalar('train/time', 0.1)
    monkeypatch.setattr(np, 'append', lambda *args: pytest.fail('copies the history'))
    for _ in range(3):
        hub.update_scalar('train/time', 0.2)
        assert hub.get_scalar('train/time').current() == 0.2  # as IterTimerHook asks
    monkeypatch.undo()
    assert hub.get_scalar('train/time').mean(3) == pytest.approx(0.2)
