import pytest

from hetkd.utils.spread import evenly_spread


@pytest.mark.parametrize(
    'count, total, places',
    [(1, 10, [0]), (2, 10, [0, 9]), (4, 10, [0, 3, 6, 9]), (10, 10, list(range(10))), (99, 3, [0, 1, 2])],
)
def test_places_are_evenly_spread(count, total, places):
    assert evenly_spread(count, total) == places
