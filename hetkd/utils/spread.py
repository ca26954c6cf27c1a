"""A few out of many."""


def evenly_spread(count: int, total: int) -> list[int]:
    """``count`` places out of 0 to ``total`` - 1, the first and the last among them; all if it is more."""
    count = min(count, total)
    return [round(i * (total - 1) / max(1, count - 1)) for i in range(count)]
