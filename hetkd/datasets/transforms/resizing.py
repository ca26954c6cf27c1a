"""The filter by which a pipeline resizes."""

from typing import Optional, Sequence


def resize_filter(pipeline: Sequence[dict]) -> Optional[str]:
    """That of the last ``Resize`` or ``ResizeEdge`` among the configs of a pipeline; None without one."""
    steps = [x for x in pipeline if x.get('type') in ('Resize', 'ResizeEdge')]
    return steps[-1].get('interpolation', 'bilinear') if steps else None
