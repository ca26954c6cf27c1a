"""setup.cfg describes the package. Here is what OpenMMLab's packages carry for mim and ``hetkd::...``."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
SHIPPED = ('configs', 'tools', 'demo', 'model-index.yml')
LEFT_OUT = ('__pycache__', 'model_zoo.py')  # the zoo's tool works on docs/zoo, which only a clone has


class BuildWithMim(build_py):
    """Put configs and tools into ``hetkd/.mim``: copies in a wheel, links in a clone."""

    def run(self):
        super().run()
        folder = (ROOT if self.editable_mode else Path(self.build_lib).resolve()) / 'hetkd/.mim'
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in SHIPPED:
            if self.editable_mode:
                (folder / name).symlink_to(Path('../..') / name)
            elif (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(*LEFT_OUT))
            else:
                shutil.copy(ROOT / name, folder)


setup(cmdclass={'build_py': BuildWithMim})
