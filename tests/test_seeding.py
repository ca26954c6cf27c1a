"""Random numbers by a key."""

import numpy as np
import pytest
import torch

from hetkd.seeding import GOLDEN, _mix, uniform


def test_the_mixer_is_splitmix64():
    states = np.uint64(1234567) + np.arange(1, 4, dtype=np.uint64) * GOLDEN
    assert _mix(states).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_numbers_depend_on_key_and_index_alone():
    whole = uniform((3, 5), range(100), 24)
    assert torch.equal(uniform((3, 5), [70, 7], 24), whole[[70, 7]])
    assert torch.equal(uniform((3, 5), [7], 10), whole[7:8, :10])
    for other in (uniform((5, 3), range(100), 24), uniform((3, 6), range(100), 24)):
        assert (other == whole).sum() == 0


def test_numbers_are_uniform():
    x = uniform((0, 0), range(50_000), 8)
    assert x.shape == (50_000, 8) and x.dtype == torch.float64
    assert x.min() >= 0 and x.max() < 1
    assert (x.mean(0) - 0.5).abs().max() < 5 / np.sqrt(12 * 50_000)
    assert (x.var(0) - 1 / 12).abs().max() < 0.002
    counts = torch.histc(x, 100, 0, 1)
    assert ((counts - 4000) ** 2 / 4000).sum() < 160  # chi squared of 99 degrees: 1 in 10,000


@pytest.mark.parametrize('neighbour', ['index', 'place', 'epoch', 'seed'])
def test_neighbours_are_not_correlated(neighbour):
    x = uniform((0, 0), range(50_000), 9)
    one, other = {
        'index': (x[:-1, 0], x[1:, 0]),
        'place': (x[:, :-1].flatten(), x[:, 1:].flatten()),
        'epoch': (x, uniform((0, 1), range(50_000), 9)),
        'seed': (x, uniform((1, 0), range(50_000), 9)),
    }[neighbour]
    correlation = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]
    assert abs(correlation) < 5 / np.sqrt(one.numel())
