"""Readable errors for missing data."""

import os.path as osp
from contextlib import contextmanager

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
        dataset, path = dataloader.get('dataset', {}), 'dataset'
        while 'dataset' in dataset:  # InMemory, RepeatDataset and the like
            dataset, path = dataset['dataset'], f'{path}.dataset'
        prefix = dataset.get('data_prefix')
        root = dataset.get('data_root') or (prefix if isinstance(prefix, str) else '') or '.'
        raise UserError(
            f'data set {dataset.get("type")}',
            f'its files in {osp.abspath(root)}',
            f'{type(error).__name__}: {error}',
            'fetch them with `python tools/misc/fetch_data.py CONFIG`, or name the folder that holds them: '
            f'`--cfg-options train_dataloader.{path}.data_root=PATH` (and val_, test_dataloader)',
        ) from error
