"""Evenly spaced indices."""


def evenly_spread(count: int, total: int) -> list[int]:
    """``count`` of the indices 0 to ``total`` - 1, first and last included; all if ``count`` is larger."""
    count = min(count, total)
    return [round(i * (total - 1) / max(1, count - 1)) for i in range(count)]
