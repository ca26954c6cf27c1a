"""What a launcher tells a process."""

import pytest

from hetkd.utils.launched import PROCESSES, RANKS, launched_processes, launched_rank


@pytest.mark.parametrize('launcher', range(3))
def test_each_launcher_is_heard(launcher, monkeypatch):
    for name in (*RANKS, *PROCESSES):
        monkeypatch.delenv(name, raising=False)
    assert (launched_rank(), launched_processes()) == (0, 1), 'begun by hand'
    monkeypatch.setenv(RANKS[launcher], '3')
    monkeypatch.setenv(PROCESSES[launcher], '8')
    assert (launched_rank(), launched_processes()) == (3, 8)
