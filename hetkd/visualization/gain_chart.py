"""SVG chart of gains with error bars. It depends on its numbers alone, so that a stale file is noticed."""

from html import escape
from typing import Mapping, NamedTuple, Optional

STYLE = """<style>
text{font:13px sans-serif;fill:#1b1b1b}
.title{font-weight:bold}.right{text-anchor:end}.middle{text-anchor:middle}.small{font-size:12px}
.bg{fill:#fff;rx:8}.grid{stroke:#d5dbe2}.zero{stroke:#5b6b7f}
.better{fill:#3d8b46;stroke:#3d8b46}.worse{fill:#c04a4a;stroke:#c04a4a}.noise{fill:#8a94a0;stroke:#8a94a0}
.bar{stroke-width:2;fill:none}
</style>"""
NAMES, PLOT, VALUES = 190, 440, 130
LETTER = 7.5
ROW, TITLE = 20, 52
STEPS = (0.5, 1, 2, 5, 10, 20, 50)


class Bar(NamedTuple):
    """A gain."""

    mean: float
    spread: float
    """Standard deviation over the seeds."""
    counts: Optional[bool]
    """Whether it is more than noise; None of one seed."""


def gain_chart(panels: Mapping[str, Mapping[str, Bar]]) -> str:
    """The chart as SVG: a panel per setting, and in it a dot with its spread per method, on one scale.

    Args:
        panels: gains by method, by the title of the panel: a line of its nets and a line of its data.
    """
    longest = max((len(method) for rows in panels.values() for method in rows), default=0)
    left = max(NAMES, 28 + round(LETTER * longest))
    right, width = left + PLOT, left + PLOT + VALUES
    bars = [bar for rows in panels.values() for bar in rows.values()]
    low = min([0.0, *(x.mean - x.spread for x in bars)])
    high = max([1.0, *(x.mean + x.spread for x in bars)])
    step = next((x for x in STEPS if (high - low) / x <= 8), STEPS[-1])
    first, last = int(low // step), -int(-high // step)

    def x_of(value):
        return round(left + (value / step - first) / (last - first) * PLOT, 1)

    parts, y = [], 12
    for title, rows in panels.items():
        nets, _, rest = title.partition('\n')
        parts.append(f'<text class="title" x="14" y="{y + 18}">{escape(nets)}</text>')
        parts.append(f'<text class="small" x="14" y="{y + 36}">{escape(rest)}</text>')
        y += TITLE
        for method, bar in rows.items():
            parts.append(_row(y, method, bar, left, width, x_of))
            y += ROW
    ticks = [i * step for i in range(first, last + 1)]
    grid = [
        f'<path class="{"grid" if tick else "zero"}" d="M{x_of(tick)} {TITLE + 6}V{y}"/>'
        f'<text class="small middle" x="{x_of(tick)}" y="{y + 16}">{f"{tick:+g}" if tick else 0}</text>'
        for tick in ticks
    ]
    words = 'gain in points of top-1, mean and standard deviation over seeds; grey: within noise, or one seed'
    note = f'<text class="small middle" x="{(left + right) // 2}" y="{y + 36}">{words}</text>'
    size = f'width="{width}" height="{y + 46}" viewBox="0 0 {width} {y + 46}"'
    background = f'<rect class="bg" width="{width}" height="{y + 46}"/>'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{STYLE}',
        background,
        *grid,
        *parts,
        note,
        '</svg>',
    ]
    return '\n'.join(lines) + '\n'


def _row(y: int, method: str, bar: Bar, left: int, width: int, x_of) -> str:
    kind = 'noise' if not bar.counts else 'better' if bar.mean > 0 else 'worse'
    middle, low, high = y + 5, x_of(bar.mean - bar.spread), x_of(bar.mean + bar.spread)
    path = f'M{low} {middle}H{high}M{low} {middle - 4}v8M{high} {middle - 4}v8'
    spread = '' if bar.counts is None else f' ± {bar.spread:.2f}'
    return (
        f'<text class="right" x="{left - 14}" y="{y + 10}">{escape(method)}</text>'
        f'<path class="bar {kind}" d="{path}"/>'
        f'<circle class="{kind}" cx="{x_of(bar.mean)}" cy="{middle}" r="4"/>'
        f'<text class="right" x="{width - 14}" y="{y + 10}">{bar.mean:+.2f}{spread}</text>'
    )
