"""Data set check: number of images and classes, broken image files."""

from typing import Optional

from mmengine.utils import track_progress_rich

from hetkd.errors import UserError

from .transforms import LoadImage

# Number of classes, and of images per split, from the data sets' own pages.
SIZES = {
    'CIFAR10': (10, dict(train=50_000, test=10_000)),
    'CIFAR100': (100, dict(train=50_000, test=10_000)),
    'TinyImageNet': (200, dict(train=100_000, val=10_000)),
    'CUB': (200, dict(train=5_994, test=5_794)),
    'FGVCAircraft': (100, dict(trainval=6_667, test=3_333)),
    'ImageNet': (1000, dict(train=1_281_167, val=50_000)),
}


def count_problem(config: dict, images: int, classes: int) -> Optional[str]:
    """Error message for a data set of the wrong size; None if it is right, cut on purpose or unknown.

    Args:
        config: the data set's config; ``type``, ``split`` and ``indices`` are read.
        images: number of images found.
        classes: number of classes found.
    """
    expected_classes, splits = SIZES.get(config['type'], (classes, {}))
    expected = splits.get(config.get('split'), images)
    if config.get('indices') is not None:
        expected = images
    if (images, classes) == (expected, expected_classes):
        return None
    return (
        f'{config["type"]} {config.get("split")}: expected {expected:,} images of {expected_classes:,} '
        f'classes, got {images:,} of {classes:,} in {config.get("data_root")}; unpack the archive again, or '
        f'name the folder that holds the whole data set (docs/en/data.md)'
    )


def broken_images(dataset, workers: int = 1) -> list[str]:
    """Load every image file of a data set, with a progress bar, and collect the errors.

    Images that a data set holds in memory are skipped.

    Args:
        dataset: an mmengine data set.
        workers: number of processes. Default 1.

    Returns:
        Path and error of each file that is broken or that ``LoadImage`` refuses.
    """
    infos = (dataset.get_data_info(i) for i in range(len(dataset)))
    # Each once: RepeatDataset and the like have an image several times.
    paths = list(dict.fromkeys(info['img_path'] for info in infos if 'img_path' in info))
    if not paths:
        return []
    found = track_progress_rich(_problem, paths, nproc=workers, chunksize=16, description='images')
    return [problem for problem in found if problem is not None]


def _problem(path: str) -> Optional[str]:
    try:
        LoadImage().transform(dict(img_path=path))
    except UserError as error:
        return f'{path}: expected {error.expected}, got {error.got}'
    return None
