"""Predictions of a test in an .npz file."""

from pathlib import Path

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from hetkd.errors import UserError
from hetkd.registry import METRICS
from hetkd.utils.whole_file import written_whole

KEYS = ('sample_idx', 'gt_label', 'pred_label', 'pred_score')


@METRICS.register_module()
class DumpPredictions(BaseMetric):
    """Write the prediction for each image, as plain arrays: unlike a pickle, they run no code when read.

    The arrays are ``sample_idx`` (N), ``gt_label`` (N), ``pred_label`` (N) and ``pred_score`` (N, C).

    Args:
        out_file: the file, ``*.npz``.
    """

    default_prefix = 'predictions'  # of no number, but mmengine warns without one

    def __init__(self, out_file: str):
        super().__init__()
        check_name(out_file)
        self.out_file = out_file

    def process(self, data_batch, data_samples) -> None:
        """Keep what the file will hold."""
        self.results += [{key: _plain(sample[key]) for key in KEYS} for sample in data_samples]

    def compute_metrics(self, results) -> dict:
        """Write the file; there is no number."""
        Path(self.out_file).parent.mkdir(parents=True, exist_ok=True)
        with written_whole(self.out_file) as file:
            np.savez(file, **{key: np.stack([x[key] for x in results]) for key in KEYS})
        return {}


def read_predictions(path: str) -> list[dict]:
    """The predictions of a file, one dict an image.

    Raises:
        UserError: it is no such file.
    """
    check_name(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = [file[key] for key in KEYS]
    except (OSError, ValueError, KeyError, EOFError) as error:
        fix = f'write it by `python tools/test.py CONFIG CHECKPOINT --out {path}`'
        raise UserError(
            path, 'predictions of tools/test.py', f'{type(error).__name__}: {error}', fix
        ) from error
    return [dict(zip(KEYS, row)) for row in zip(*arrays)]


def check_name(path: str) -> None:
    """Refuse another format.

    Raises:
        UserError: the name does not end in ``.npz``.
    """
    if not str(path).endswith('.npz'):
        raise UserError('predictions', 'a file *.npz', path, 'a pickle would run code when it is read')


def _plain(value) -> np.ndarray:
    array = value.detach().cpu().numpy() if torch.is_tensor(value) else np.asarray(value)
    return array.reshape(()) if array.size == 1 else array
