"""Image grids and contact sheets."""

from typing import NamedTuple, Optional, Sequence

import numpy as np

from .figure import new_figure, save


class Tile(NamedTuple):
    """An image with its title and an optional heat map."""

    image: np.ndarray
    """(H, W, 3) in [0, 1]."""
    title: str = ''
    """Above the image; may have several lines."""
    heat: Optional[np.ndarray] = None
    """(h, w) in [0, 1], drawn over the image."""


def image_grid(path, rows: Sequence[Sequence[Tile]], names: Sequence[str] = ()) -> None:
    """Write a grid of images; ``names`` label the rows on the left."""
    columns = max(map(len, rows))
    lines = max((tile.title.count('\n') + 1 if tile.title else 0 for row in rows for tile in row), default=0)
    side = max(1.1, 5 / columns)  # inches: a few images are larger than many
    figure = new_figure(side * columns + (0.4 if names else 0), (side + 0.2 * lines) * len(rows))
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.set_frame_on(False)
    for line, row in zip(grid, rows):
        for axes, tile in zip(line, row):
            height, width = tile.image.shape[:2]
            axes.imshow(tile.image, extent=(0, width, height, 0))
            axes.set_title(tile.title, fontsize=8)
            if tile.heat is not None:
                heat = {'cmap': 'jet', 'alpha': 0.5, 'vmin': 0, 'vmax': 1, 'interpolation': 'bilinear'}
                axes.imshow(tile.heat, extent=(0, width, height, 0), **heat)
    for axes, name in zip(grid[:, 0], names):
        axes.set_ylabel(name, fontsize=8)
    save(figure, path)


def contact_sheet(path, tiles: Sequence[Tile], columns: int = 8) -> None:
    """Write a sheet of images, ``columns`` per row."""
    image_grid(path, [tiles[i : i + columns] for i in range(0, len(tiles), columns)])
