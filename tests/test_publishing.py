"""Metafiles, the wheel and its names, the example project, the tutorial and its notebook."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from types import SimpleNamespace

import pytest
import torch
import yaml
from modelindex.load_model_index import load

from hetkd.apis.config import methods
from tests import preloaded
from tests.conftest import ROOT, tool_runner

CELL = 'configs/mldrkd/vit-micro_cnn-micro_digits.py'
METAFILES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / 'configs').rglob('metafile.yml'))


@pytest.mark.parametrize('file', METAFILES)
def test_a_metafile_describes_its_methods_and_only_models_with_results(file):
    path = ROOT / file
    collections = {x.name: x for x in load(str(path)).collections}
    for collection in collections.values():
        # OpenMMLab's paths begin at the root of the clone, modelindex looks for them beside the file.
        assert [x for x in collection.check_errors if 'README' not in x] == [] and collection.name
        page = ' '.join((ROOT / collection.readme).read_text().split())
        if collection.name not in ('Scratch', 'Teachers'):
            assert collection.paper['URL'] in page and collection.paper['Title'] in page
    # mmengine iterates over the key, so that it must be there.
    for model in yaml.safe_load(path.read_text())['Models']:
        assert model['In Collection'] in collections and (ROOT / model['Config']).exists()
        assert model['Results'] and (ROOT / model['Training Log']).exists()


def test_the_index_has_every_metafile_and_the_metafiles_every_method():
    assert yaml.safe_load((ROOT / 'model-index.yml').read_text()) == {'Import': METAFILES}
    index = load(str(ROOT / 'model-index.yml'))
    assert not index.check_errors
    pages = {f'docs/en/{x}.md' for x in methods() if x != 'scratch'}
    described = {x.readme for x in index.collections} | {'docs/en/mldrkd.md'}  # has a README in its folder
    assert pages <= described
    assert len({x.name for x in index.collections}) == len(methods()) + 1, 'and the teachers'


def test_workflows_call_the_makefile_and_issue_forms_ask_something():
    targets = re.findall(r'^(\w+):', (ROOT / 'Makefile').read_text(), re.MULTILINE)
    steps = [
        step.get('run', '')
        for path in (ROOT / '.github/workflows').glob('*.yml')
        for job in yaml.safe_load(path.read_text())['jobs'].values()
        for step in job['steps']
    ]
    made = [x.split()[1] for x in steps if x.startswith('make ')]
    assert sorted(made) == ['docs', 'test'] and set(made) <= set(targets)
    for path in (ROOT / '.github/ISSUE_TEMPLATE').glob('*.yml'):
        form = yaml.safe_load(path.read_text())
        if path.stem != 'config':
            asked = [x for x in form['body'] if x['type'] != 'markdown']
            assert form['name'] and form['description'] and all(x['attributes']['label'] for x in asked)
            assert len({x['id'] for x in asked}) == len(asked) > 1, 'each has its id'


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
    """The wheel, built from the source archive, in an environment that shares the other packages."""
    folder = tmp_path_factory.mktemp('wheel')
    ignored = shutil.ignore_patterns(
        '.*', '*.egg-info', '__pycache__', 'build', 'data', 'work_dirs', 'checkpoints'
    )
    shutil.copytree(ROOT, folder / 'source', ignore=ignored)
    call = SimpleNamespace(
        cwd=folder / 'source', env={k: v for k, v in os.environ.items() if k != 'PYTHONPATH'}
    )

    def python(*args, interpreter=sys.executable):
        done = subprocess.run(
            [interpreter, *map(str, args)], cwd=call.cwd, env=call.env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    python('-c', f'import setuptools.build_meta as b; b.build_sdist({str(folder)!r})')
    archive = next(folder.glob('*.tar.gz'))
    pip = ['-m', 'pip', '--disable-pip-version-check']
    python(*pip, 'wheel', '-q', '--no-index', '--no-deps', '--no-build-isolation', '-w', folder, archive)
    venv.create(folder / 'env', symlinks=True)
    clean = folder / 'env/bin/python'
    site = next((folder / 'env').glob('lib/python*/site-packages'))
    # .pth files in these folders are not read, so an editable install of hetkd is not found.
    (site / 'shared.pth').write_text('\n'.join(x for x in sys.path if x.endswith('-packages')))
    wheel = next(folder.glob('*.whl'))
    python(*pip, '--python', clean, 'install', '-q', '--no-index', '--no-deps', '--force-reinstall', wheel)
    call.cwd = folder / 'elsewhere'
    call.cwd.mkdir()
    return SimpleNamespace(
        command=clean.parent / 'hetkd',
        folder=call.cwd,
        mim=site / 'hetkd/.mim',
        run=lambda *args: python(*args, interpreter=clean),
    )


def test_the_wheel_carries_all_configs_and_tools(installed):
    for folder in ('configs', 'tools', 'demo'):
        mine, theirs = (
            {str(x.relative_to(root)) for x in root.rglob('*') if x.suffix in ('.py', '.sh', '.yml')}
            for root in (installed.mim / folder, ROOT / folder)
        )
        assert mine == theirs - {'model_zoo.py'} and mine
    assert os.access(installed.mim / 'tools/dist_train.sh', os.X_OK) == os.access(
        ROOT / 'tools/dist_train.sh', os.X_OK
    )
    assert not load(str(installed.mim / 'model-index.yml')).check_errors


def test_the_wheel_has_the_console_command(installed):
    done = subprocess.run([installed.command], cwd=installed.folder, capture_output=True, text=True)
    assert done.returncode == 0 and '  train ' in done.stdout and 'benchmark' not in done.stdout


def test_names_of_the_package_work_from_the_wheel(installed):
    (installed.folder / 'mine.py').write_text(
        "_base_ = ['hetkd::mldrkd/vit-micro_cnn-micro_digits.py']\nmodel = dict(ce_weight=2.0)\n"
    )
    script = """
import hetkd.registry
from mmengine.config import Config
from mmengine.hub import get_config, get_model
from hetkd.apis import init_model, load_config

assert 'elsewhere' not in hetkd.__file__ and 'env/lib' in hetkd.__file__, hetkd.__file__
cfg = get_config('hetkd::mldrkd/deit-t_res18_cifar100.py')
assert cfg.model.type == 'MLDRKD' and 'env/lib' in cfg.filename
assert type(get_model('hetkd::teachers/vit-micro_digits.py')).__name__ == 'NetClassifier'
assert Config.fromfile('mine.py').model.ce_weight == 2.0
student = load_config('hetkd::mldrkd/vit-micro_cnn-micro_digits', method='kd').model.student
assert load_config('mine.py').model.student == student
assert init_model('mine.py').student.num_classes == 10
"""
    tool = f"""
import runpy, sys
sys.argv = ['print_config.py', 'hetkd::mldrkd/deit-t_res18_cifar100']
runpy.run_path({str(installed.mim / 'tools/misc/print_config.py')!r}, run_name='__main__')
"""
    assert "type='MLDRKD'" in installed.run('-c', script + tool)


def test_the_example_project_trains_with_its_own_loss(tmp_path, tiny_teacher):
    project = ROOT / 'projects/example_project'
    options = [f'model.teacher.checkpoint={tiny_teacher}', 'train_cfg.max_epochs=1']
    options += ['default_hooks.logger.interval=1', 'train_dataloader.batch_size=50']
    done = tool_runner(
        'train.py', CELL, '--method', project / 'configs/cosine.py', '--no-validate', '--work-dir',
        tmp_path, '--cfg-options', *options, 'default_hooks.checkpoint.save_best=None',
        env={'PYTHONPATH': f'{ROOT}:{project}'},
    )  # fmt: skip
    assert re.search(r'epoch 1/1.*loss_cosine: [\d.]+', done.stdout + done.stderr)


def test_the_notebook_has_the_cells_of_the_tutorial():
    """So that the notebook's code is run by the next test."""
    from docs.notebook import notebook

    path = ROOT / 'demo/hetkd_tutorial.ipynb'
    assert path.read_text() == notebook(), 'run python docs/notebook.py'
    cells = json.loads(path.read_text())['cells']
    code = [''.join(x['source']) for x in cells if x['cell_type'] == 'code']
    script = (ROOT / 'demo/tutorial.py').read_text()
    assert len(code) == script.count('# %% ') == 3 and all(x in script for x in code)
    rest = script.split('# %%', 1)[1]
    for x in code:
        rest = rest.replace(x, '')
    assert all(line.startswith('#') or not line.strip() for line in ('# %%' + rest).splitlines())


def test_the_tutorial_leads_from_images_to_a_student(tmp_path):
    script = ROOT / 'demo/tutorial.py'
    assert len(script.read_text().splitlines()) < 60
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    done = subprocess.run(
        [preloaded.python(), script, '--epochs', '4'], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    teacher, student = re.findall(r'epoch 4/4.*accuracy/top1: ([\d.]+)', done.stdout + done.stderr)
    assert float(teacher) > 20 and float(student) > 40
    assert re.search(r'digit_\d with probability [01]\.\d\d', done.stdout)
    assert (tmp_path / 'work_dirs/tutorial/student.py').exists()
    meta = torch.load(tmp_path / 'work_dirs/tutorial/student.pth', weights_only=True)['meta']
    assert meta['dataset_meta']['classes'] == [f'digit_{i}' for i in range(10)]
