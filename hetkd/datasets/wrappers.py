"""The data sets within wrappers such as InMemory, RepeatDataset and ConcatDataset."""

from typing import Iterator


def inner_datasets(dataset) -> Iterator:
    """The data sets that a built one is of; itself where it wraps none."""
    if hasattr(dataset, 'datasets'):
        parts = dataset.datasets
    elif hasattr(dataset, 'dataset'):
        parts = [dataset.dataset]
    else:
        yield dataset
        return
    for part in parts:
        yield from inner_datasets(part)


def inner_configs(config: dict, path: str = 'dataset') -> Iterator[tuple[dict, str]]:
    """The same of a config, each with its keys from the outermost on: ``dataset.datasets.1``."""
    if 'dataset' in config:
        yield from inner_configs(config['dataset'], f'{path}.dataset')
    elif 'datasets' in config:
        for i, part in enumerate(config['datasets']):
            yield from inner_configs(part, f'{path}.datasets.{i}')
    else:
        yield config, path
