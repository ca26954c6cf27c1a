"""On-disk cache of teacher outputs per image and view."""

import json
import math
import os
from functools import lru_cache
from pathlib import Path
from typing import Optional

import numpy as np
import torch

from hetkd.errors import UserError
from hetkd.utils.digest import file_digest
from hetkd.utils.whole_file import write_whole

KEYS = {'images', 'classes', 'views', 'seed', 'top_k', 'embedding', 'validation'}
FORMAT = 3  # since the largest logits are kept as they are, and progress counts images


class TeacherCache:
    """Logits, and embeddings where asked for, of V views of each training image; in half precision.

    Of a teacher without a class head there are no logits and no validation images.

    ``header.json`` says of what: teacher, data, pipeline, seed. ``viewNNN.<part>.npy`` holds a row an image,
    mapped into memory: processes share it, and nothing is read before it is needed. ``validation.logits.npy``
    holds the validation images. The header names the files' checksums when all is written.

    With ``top_k`` only the k largest logits of a row are kept, and the log-sum-exp of the others, which is
    spread evenly over them when it is read: the probabilities of the k classes are right, and so is the scale
    of the logits, which DFRA, HCD and RSD see.

    Args:
        folder: where it lies.

    Raises:
        UserError: there is none.
        UserError: it is of another format.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        path = self.folder / 'header.json'
        if not path.exists():
            raise UserError(
                'teacher cache',
                path,
                'none',
                f'write it with `python tools/cache_teacher.py CONFIG --out {folder}`',
            )
        self.header = _read(path)
        self._map = lru_cache(maxsize=None)(self._open)

    @classmethod
    def create(cls, folder, header: dict) -> 'TeacherCache':
        """Begin one, or continue with one of the same header.

        Raises:
            UserError: the folder holds a cache of something else.
        """
        path = Path(folder) / 'header.json'
        header = json.loads(json.dumps({'format': FORMAT, **header}))
        if path.exists():
            before = {key: x for key, x in _read(path).items() if key != 'files'}
            if before != header:
                raise UserError(
                    folder,
                    'no cache or a part of this one',
                    'one with another '
                    f'{sorted(k for k in before.keys() | header.keys() if before.get(k) != header.get(k))}',
                    'choose another --out, or delete it',
                )
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, header)
        return cls(folder)

    @property
    def views(self) -> int:
        return self.header['views']

    @property
    def is_whole(self) -> bool:
        """Whether all has been written."""
        return 'files' in self.header

    def progress(self, view: str) -> int:
        """Images of a view that are written."""
        path = self.folder / f'{view}.progress'
        text = path.read_text() if path.exists() else '0'
        if not text.isdigit():
            raise UserError(path, 'a number of images', repr(text), f'delete it, and {view} is written again')
        return int(text)

    def write(
        self,
        view: str,
        index,
        logits: Optional[torch.Tensor],
        embedding: Optional[torch.Tensor] = None,
    ) -> None:
        """Put down the rows of some images.

        Args:
            view: ``'view000'`` or ``'validation'``.
            index: the images' places (N,).
            logits: (N, C), or None of a teacher without a class head.
            embedding: (N, D), where the cache has embeddings.

        Raises:
            UserError: a row that is NaN, infinite, or too large for half precision.
        """
        index = np.asarray(index)
        packed = self._pack(view, logits, embedding)
        for part, rows in packed.items():
            self._check_finite(view, part, index, rows)
        for part, rows in packed.items():
            self._map(view, part, True)[index] = rows

    def save_progress(self, view: str, images: int) -> None:
        """Note that so many images are on the disk."""
        for part in self._parts(view):
            self._map(view, part, True).flush()
        write_whole(self.folder / f'{view}.progress', str(images))

    def finish(self) -> None:
        """Add the checksums: all is written."""
        self._map.cache_clear()
        files = sorted(self.folder.glob('*.npy'))
        self.header['files'] = {path.name: file_digest(path) for path in files}
        _write(self.folder / 'header.json', self.header)
        for path in self.folder.glob('*.progress'):
            path.unlink()

    def read(
        self, view: str, index, logits: bool = True, embedding: bool = True
    ) -> tuple[Optional[torch.Tensor], Optional[torch.Tensor]]:
        """Logits (N, C) and embeddings (N, D) of some images, where there are, in float32.

        Args:
            view: its name.
            index: of the images.
            logits, embedding: which to read; the file of the other is not touched.

        Raises:
            UserError: a file is not what was written, or a row is NaN or infinite.
        """
        index = np.asarray(index)
        parts = [x for x in self._parts(view) if (embedding if x == 'embedding' else logits)]
        rows = {part: self._map(view, part, False)[index] for part in parts}
        for part, values in rows.items():
            self._check_finite(view, part, index, values)
        rows = {part: torch.from_numpy(values) for part, values in rows.items()}
        features = rows.get('embedding')
        return self._unpack(rows), None if features is None else features.float()

    def _parts(self, view: str) -> dict[str, tuple[int, str]]:
        """Columns and dtype of each file of a view."""
        header, top_k = self.header, self.header['top_k']
        parts = {'logits': (header['classes'], 'f2')} if header['classes'] else {}
        if view != 'validation':
            if top_k:
                parts = {'values': (top_k, 'f2'), 'indices': (top_k, 'i4'), 'rest': (1, 'f2')}
            if header['embedding']:
                parts['embedding'] = (header['embedding_channels'], 'f2')
        return parts

    def _open(self, view: str, part: str, writable: bool) -> np.ndarray:
        path = self.folder / f'{view}.{part}.npy'
        columns, dtype = self._parts(view)[part]
        rows = self.header['validation' if view == 'validation' else 'images']
        if not writable:
            self._check(path)
        if path.exists():
            return _mapped(path, 'r+' if writable else 'r', (rows, columns))
        return _created(path, dtype, (rows, columns))

    def _check(self, path: Path) -> None:
        """Compare a file with its checksum."""
        if not self.is_whole:
            raise UserError(
                self.folder,
                'a whole cache',
                'a part of one',
                'run tools/cache_teacher.py again, it continues where it was interrupted',
            )
        expected = self.header['files'].get(path.name)
        found = file_digest(path) if path.exists() else None
        if found != expected or expected is None:
            raise UserError(
                path,
                f'the file that was written (sha256 {expected})',
                found or 'none',
                'copy the cache again, or delete it and write it again',
            )

    def _check_finite(self, view: str, part: str, index: np.ndarray, rows: np.ndarray) -> None:
        bad = ~np.isfinite(rows).all(1)
        if bad.any():
            raise UserError(
                self.folder,
                'finite outputs of the teacher below 65504 (half precision)',
                f'NaN, infinite or larger ones in {view}.{part}, row {index[bad][0]} and {bad.sum() - 1} '
                f'more of {len(index)}',
                'check the weights of the teacher, and write the cache again',
            )

    def _pack(self, view: str, logits, embedding) -> dict[str, np.ndarray]:
        top_k = self.header['top_k']
        if logits is None:
            packed = {}
        elif not top_k or view == 'validation':
            packed = {'logits': logits.float().cpu()}
        else:
            logits = logits.float().cpu()
            values, indices = logits.topk(top_k, 1)
            rest = logits.scatter(1, indices, -torch.inf).logsumexp(1, keepdim=True)
            rest = rest if top_k < logits.shape[1] else torch.zeros_like(rest)  # nothing is left
            packed = {'values': values, 'indices': indices, 'rest': rest}
        if embedding is not None and 'embedding' in self._parts(view):
            packed['embedding'] = embedding.float().cpu()
        with np.errstate(over='ignore'):  # found by _check_finite
            return {part: value.numpy().astype(self._parts(view)[part][1]) for part, value in packed.items()}

    def _unpack(self, rows: dict[str, torch.Tensor]) -> Optional[torch.Tensor]:
        if 'logits' in rows:
            return rows['logits'].float()
        if 'values' not in rows:
            return None
        classes, top_k = self.header['classes'], self.header['top_k']
        others = rows['rest'].float() - math.log(max(1, classes - top_k))
        return others.repeat(1, classes).scatter(1, rows['indices'].long(), rows['values'].float())


def _mapped(path: Path, mode: str, shape: tuple[int, int]) -> np.ndarray:
    try:
        found = np.load(path, mmap_mode=mode)
        if found.shape == shape:
            return found
        got = f'an array of {found.shape}'
    except (OSError, ValueError, EOFError) as error:
        got = f'a damaged file ({error})'
    raise UserError(path, f'an array of {shape}', got, 'delete the cache and write it again')


def _created(path: Path, dtype: str, shape: tuple[int, int]) -> np.ndarray:
    """A file with all its bytes: a mapped one that grows on a full disk kills the process (SIGBUS)."""
    part = path.with_suffix('.part')
    try:
        file = np.lib.format.open_memmap(part, mode='w+', dtype=dtype, shape=shape)
        with open(part, 'r+b') as raw:
            os.posix_fallocate(raw.fileno(), 0, part.stat().st_size)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(
            path,
            f'{math.prod(shape) * np.dtype(dtype).itemsize / 2**20:.1f} MiB of disk',
            error.strerror,
            'free some space and run the command again: it continues from here',
        ) from error
    if dtype == 'f2':
        file[:] = np.nan  # a row that was never written is no row of zeros
    os.replace(part, path)
    return file


def _read(path: Path) -> dict:
    """The header of a cache.

    Raises:
        UserError: it is damaged, or of another format.
    """
    try:
        header = json.loads(path.read_text())
        found = header.get('format') if header.keys() >= KEYS else 'a part of one'
        if found == FORMAT and 'files' in header:
            parts = sum(x.startswith('view000') for x in header['files'])
            found = (
                found
                if len(header['files']) == header['views'] * parts + bool(header['validation'])
                else None
            )
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        found = f'a damaged file ({error!r})'
    if found != FORMAT:
        raise UserError(
            path, f'the header of a cache of format {FORMAT}', found, 'delete the cache and write it again'
        )
    return header


def _write(path: Path, content: dict) -> None:
    write_whole(path, json.dumps(content, indent=1))
