"""Readable errors for missing data."""

import os.path as osp
from contextlib import contextmanager

from hetkd.datasets.wrappers import inner_configs
from hetkd.errors import UserError

# Words of mmpretrain and mmengine for missing files.
ABSENT = ('not found', 'cannot find', "can't find", 'no such file', 'not integrated', 'download')


@contextmanager
def absence_explained(dataloader):
    """Context of building a data loader: names absent files, and the command that fetches them.

    Raises:
        UserError: the files are not there.
    """
    try:
        yield
    except (OSError, RuntimeError, AssertionError) as error:
        if not isinstance(error, OSError) and not any(x in str(error).lower() for x in ABSENT):
            raise
        found = list(inner_configs(dataloader.get('dataset', {})))
        dataset, path = next((x for x in found if not osp.exists(_root(x[0]))), found[0])
        raise UserError(
            f'data set {dataset.get("type")}',
            f'its files in {osp.abspath(_root(dataset))}',
            f'{type(error).__name__}: {error}',
            'fetch them with `python tools/misc/fetch_data.py CONFIG`, or name the folder that holds them: '
            f'`--cfg-options train_dataloader.{path}.data_root=PATH` (and val_, test_dataloader)',
        ) from error


def _root(dataset: dict) -> str:
    """The folder of a data set's files."""
    prefix = dataset.get('data_prefix')
    return dataset.get('data_root') or (prefix if isinstance(prefix, str) else '') or '.'
