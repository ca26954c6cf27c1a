"""From the data loader's batch to the nets' input."""

from .batch_views import BatchViewPreprocessor
from .seeded import SeededPreprocessor
from .views import BatchRandomCrop, BatchRandomResizedCrop, BatchResizeCentreCrop

__all__ = [
    'BatchRandomCrop',
    'BatchRandomResizedCrop',
    'BatchResizeCentreCrop',
    'BatchViewPreprocessor',
    'SeededPreprocessor',
]
