"""Plots: arrays in, a PNG file out; a chart as SVG."""

from .bars import shares
from .comparison import Runs, comparison
from .curves import curves
from .fusion import fusion_weights
from .gain_chart import Bar, gain_chart
from .heat_map import Panel, heat_maps
from .image_grid import Tile, contact_sheet, image_grid
from .reliability import reliability
from .scatter import scatter
from .sub_logits import sub_logits

__all__ = [
    'Bar',
    'Panel',
    'Runs',
    'Tile',
    'comparison',
    'contact_sheet',
    'curves',
    'fusion_weights',
    'gain_chart',
    'heat_maps',
    'image_grid',
    'reliability',
    'scatter',
    'shares',
    'sub_logits',
]
