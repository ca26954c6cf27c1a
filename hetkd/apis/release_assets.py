"""Release assets: weight files and configs of a comparison's students, weights of teachers, checksums."""

import re
import shutil
from pathlib import Path

from mmengine.config import Config

from hetkd.errors import UserError
from hetkd.utils.digest import file_digest

from .config import load_config
from .results import finished_runs, row_name
from .student import export_student, student_config

# What a test of the student needs of the run's config, beside the model.
KEPT = ('default_scope', 'runner_type', 'default_hooks', 'env_cfg', 'log_level')
KEPT += ('test_dataloader', 'test_evaluator', 'test_cfg')

README = """\
# Students and teachers

Top-1 in per cent on the test images, after the last epoch. `sha256sum -c SHA256SUMS` checks the files.

`python tools/test.py NAME.py NAME.pth` of hetkd measures a student's top-1 again. In Python:
`hetkd.apis.init_model('NAME.py', 'NAME.pth')`. A student with a `NAME_mmpretrain.py` needs no hetkd:
`mmpretrain.get_model('NAME_mmpretrain.py', pretrained='NAME.pth')`. The config of a teacher's net has its
name in `configs/teachers`.

| Weights | What | Method | Seed | Epochs | Top-1 |
|---|---|---|---|---|---|
"""


def pack(work_dir, out) -> list[Path]:
    """Export the student of each finished run, and copy the teachers' weight files.

    Args:
        work_dir: folder of ``tools/compare.py``.
        out: folder to write, new or empty: no file in it is of an earlier call.

    Returns:
        The files, ``README.md`` and ``SHA256SUMS`` at the end.

    Raises:
        UserError: ``out`` holds files, there is no finished run, a checkpoint or teacher is missing, or two
            teachers have one file name.
    """
    work_dir, out = Path(work_dir), Path(out)
    if out.exists() and any(out.iterdir()):
        raise UserError('out', 'a new or an empty folder', f'{out}, which holds files', 'choose another')
    students = [_Student(work_dir, folder, record) for folder, record in finished_runs(work_dir).items()]
    if not students:
        raise UserError(work_dir, 'finished runs of tools/compare.py', 'none')
    teachers: dict[str, Path] = {}
    for file in (file for student in students for file in student.teachers):
        other = teachers.setdefault(file.name, file)
        if other.resolve() != file.resolve():
            raise UserError('teachers', 'files whose names differ', f'{other} and {file}', 'rename one')
    for file in [*(x.checkpoint for x in students), *teachers.values()]:
        if not file.exists():
            raise UserError(file, 'weights of a run or of its teacher', 'no such file', 'train or copy it')
    out.mkdir(parents=True, exist_ok=True)
    for student in students:
        student.export(out)
    for name, file in teachers.items():
        shutil.copyfile(file, out / name)
    rows = [*(x.row for x in students), *(f'| `{x}` | teacher | | | | |' for x in teachers)]
    (out / 'README.md').write_text(README + '\n'.join(rows) + '\n')
    files = sorted(x for x in out.iterdir() if x.name != 'README.md') + [out / 'README.md']
    sums = out / 'SHA256SUMS'
    sums.write_text(''.join(f'{file_digest(x)}  {x.name}\n' for x in files))
    return [*files, sums]


class _Student:
    """Of a finished run."""

    def __init__(self, work_dir: Path, folder: Path, record: dict):
        parts = folder.relative_to(work_dir).parts
        method, self.pair, *changes, self.seed = parts
        self.method, self.last = row_name(method, changes), record['last']
        # GitHub renames assets with other characters.
        self.name = re.sub(r'[^\w.-]', '-', '_'.join(parts))
        self.cfg = load_config(folder / f'{self.pair}.py')
        self.checkpoint = folder / f'epoch_{self.last["epoch"]}.pth'

    @property
    def teachers(self) -> list[Path]:
        """Weight files of its teachers, or of those that its caches are of; none of a library's weights."""
        found = self.cfg.model.get('teacher') or []
        found = found if isinstance(found, (list, tuple)) else [found]
        files = [x.get('net', x).get('checkpoint') for x in found]
        return [Path(x) for x in files if x is not None]

    @property
    def row(self) -> str:
        """Its line of the table."""
        what = f'`{self.name}.pth` | student of `{self.pair}` | {self.method} | {self.seed[4:]}'
        return f'| {what} | {self.last["epoch"]} | {self.last["value"]:.2f} |'

    def export(self, out: Path) -> None:
        """Write weights, a config of the student alone, and mmpretrain's where it is a net of mmpretrain."""
        config = out / f'{self.name}.py'
        if mmpretrains := export_student(self.cfg, str(self.checkpoint), str(config.with_suffix('.pth'))):
            Path(mmpretrains).rename(out / f'{self.name}_mmpretrain.py')
        kept = {key: self.cfg[key] for key in KEPT if self.cfg.get(key) is not None}
        Config(dict(model=student_config(self.cfg), **kept)).dump(config)
