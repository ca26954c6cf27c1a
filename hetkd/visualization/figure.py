"""Matplotlib figures without pyplot: no window, no global state."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Most points of a line that are marked: so few make no curve, and one makes no line.
MAX_DOTS = 5
STUDENT, TEACHER, EXTRA = '#4c9a57', '#e08a1e', '#5b7fb5'


def new_figure(width: float, height: float) -> Figure:
    """An empty figure; size in inches."""
    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def draw_curve(axes, epochs, values, **style) -> None:
    """Draw a line over epochs, which are whole numbers."""
    dot = 'o' if len(epochs) <= MAX_DOTS else None
    axes.plot(epochs, values, linewidth=1, marker=dot, markersize=4, **style)
    axes.set_xlabel('epoch')
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def save(figure: Figure, path) -> None:
    """Write a figure; its folder is created."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
