"""Matplotlib figures without pyplot: no window, no global state."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

STUDENT, TEACHER, EXTRA = '#4c9a57', '#e08a1e', '#5b7fb5'


def new_figure(width: float, height: float) -> Figure:
    """An empty figure; size in inches."""
    figure = Figure(figsize=(width, height), layout='constrained')
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path) -> None:
    """Write a figure; its folder is created."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
