"""Code blocks, file names and links of the README and the docs."""

import re
import shutil
from pathlib import Path
from urllib.parse import unquote

import pytest
import torch
from mmengine.registry import Registry
from PIL import Image

from hetkd import functional, registry
from hetkd.apis import load_config
from hetkd.utils import register_all_modules

ROOT = Path(__file__).resolve().parent.parent
CELL = 'configs/mldrkd/vit-micro_cnn-micro_digits.py'
PAGES = sorted(
    [
        *ROOT.glob('*.md'),
        *ROOT.glob('docs/en/*.md'),
        *ROOT.glob('configs/*/*.md'),
        *ROOT.glob('projects/*/*.md'),
    ]
)


def blocks(path, language='python'):
    return re.findall(rf'^```{language}\n(.*?)^```$', path.read_text(), re.DOTALL | re.MULTILINE)


PYTHON = [
    pytest.param(block, id=f'{page.name}-{index}')
    for page in PAGES
    for index, block in enumerate(blocks(page))
    # Trained below; the last two in tests/tools/test_use_the_student.py and tests/apis/test_own_images.py.
    if page.name
    not in ('add_a_loss.md', 'add_a_net.md', 'add_an_algorithm.md', 'use_the_student.md', 'tutorial.md')
]


@pytest.mark.parametrize('block', PYTHON)
def test_a_python_block_works(block, tmp_path, monkeypatch):
    """A config loads and a script runs; a fragment, and code that needs a trained file, compiles."""
    if '_base_' in block:
        monkeypatch.chdir(tmp_path)
        for folder in ('train/cat', 'train/dog', 'val/cat', 'val/dog'):
            (tmp_path / 'my_images' / folder).mkdir(parents=True)
            Image.new('RGB', (8, 8)).save(tmp_path / 'my_images' / folder / '1.png')
        (tmp_path / 'configs').symlink_to(ROOT / 'configs')
        (tmp_path / 'config.py').write_text(block)
        assert load_config(str(tmp_path / 'config.py')).model.type
    elif 'import' in block and 'get_model' not in block:
        exec(compile(block, 'docs', 'exec'), {})
    else:
        compile(block, 'docs', 'exec')


@pytest.mark.parametrize('page', PAGES, ids=lambda x: x.name)
def test_every_file_a_page_names_exists(page):
    named = re.findall(
        r'(?<![\w/.])(?:tools|configs|demo|requirements|projects|docker|docs/en)/[\w./-]+\.\w+',
        page.read_text(),
    )
    missing = [name for name in named if not (ROOT / name).exists() and not (page.parent / name).exists()]
    assert [name for name in missing if not re.search('[A-Z]{3}', name)] == [], 'but for placeholders'


@pytest.mark.parametrize('page', PAGES, ids=lambda x: x.name)
def test_every_link_to_a_file_leads_there(page):
    links = re.findall(r'\]\(([^)#:]+)(?:#[\w-]+)?\)', page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_everything_that_is_registered_is_in_the_api_reference():
    page = (ROOT / 'docs/en/api.md').read_text()
    register_all_modules()
    registries = [x for x in vars(registry).values() if isinstance(x, Registry)]
    ours = {
        x.__name__ for y in registries for x in y.module_dict.values() if x.__module__.startswith('hetkd.')
    }
    assert len(ours) > 50 and [name for name in sorted(ours) if not re.search(rf'\b{name}\b', page)] == []


def test_every_equation_is_in_the_api_reference():
    page = (ROOT / 'docs/en/api.md').read_text()
    listed = set(re.findall(r'auto(?:function|class|data):: (\w+)', page))
    assert listed == set(functional.__all__)


def test_formulas_need_no_network(tmp_path):
    """A page of formulas, built as the site is: MathML, and nothing that another host serves."""
    build_main = pytest.importorskip('sphinx.cmd.build', reason='the extra docs is not installed').build_main
    shutil.copy(ROOT / 'docs/en/conf.py', tmp_path)
    shutil.copytree(ROOT / 'docs/en/_static', tmp_path / '_static')
    (tmp_path / 'index.md').write_text('# A\n\nWith $T^2$:\n\n$$\\mathrm{KL}(p \\| q) = \\sum_i x_i$$\n')
    build_main(['-q', '-W', '-b', 'html', str(tmp_path), str(tmp_path / 'html')])
    page = (tmp_path / 'html/index.html').read_text()
    assert page.count('<math') == 2 and '<div class="formula">' in page
    assert re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?:', page) == []
    (tmp_path / 'index.md').write_text('# A\n\n$$\\nosuchcommand$$\n')
    assert build_main(['-q', '-W', '-b', 'html', str(tmp_path), str(tmp_path / 'html')]) != 0


def test_the_home_page_and_the_chinese_readme_show_the_same_numbers():
    """What is copied by hand is not out of date."""
    numbers = [
        set(re.findall(r'\d+\.\d+ ± \d+\.\d+', (ROOT / name).read_text()))
        for name in ('docs/en/index.md', 'docs/en/model_zoo.md', 'README.md', 'README_zh-CN.md')
    ]
    home, zoo, english, chinese = numbers
    assert home and home <= zoo
    assert english and english == chinese


def test_the_readmes_rows_are_those_of_the_zoo():
    zoo = (ROOT / 'docs/en/model_zoo.md').read_text().split('### Digits, 5 labels')[1].split('\n## ')[0]
    measured = {
        name: (last, best)
        for name, last, best in re.findall(r'\| \[(.+?)\]\(.+?\) \| (.+?) \|.*?\| (.+?) \|', zoo)
    }
    assert len(measured) == 5
    teacher = re.search(r'; teacher: ([\d.]+) %;', zoo)[1]
    own = {'labels only': '只用标签'}
    for page, teachers, students in (
        ('README.md', 'teacher', 'student, '),
        ('README_zh-CN.md', '教师', '学生，'),
    ):
        rows = [
            x.strip('| ').split(' | ') for x in (ROOT / page).read_text().splitlines() if x.startswith('| ')
        ]
        rows = {name: numbers for name, *numbers in rows}
        assert next(x[0] for name, x in rows.items() if name.startswith(teachers)) == teacher
        for name, numbers in measured.items():
            name = own.get(name, name) if page.endswith('zh-CN.md') else name
            assert tuple(rows[students + name][:2]) == numbers, (page, name)


def test_the_badges_are_true():
    page, setup = (ROOT / 'README.md').read_text(), (ROOT / 'setup.cfg').read_text()
    versions = re.findall(r'Python :: (3\.\d+)', setup)
    low, high = re.search(r'torch>=(2\.\d+),<2\.(\d+)', setup).groups()
    licence = re.search(r'license = (.+)', setup)[1]
    assert re.findall(r'!\[(.+?)\]\(https://img', page) == [
        f'Python {" | ".join(versions)}',
        f'torch {low} to 2.{int(high) - 1}',
        f'Licence: {licence}',
    ]
    shown = [unquote(x) for x in re.findall(r'shields\.io/badge/([^)]+)-\w+\)', page)]
    assert [x.replace('--', '-').partition('-')[2] for x in shown] == [
        ' | '.join(versions),
        f'{low} to 2.{int(high) - 1}',
        licence,
    ]


def test_the_figures_are_what_the_script_draws():
    from docs.figures import figures

    drawn = figures()
    assert {path.stem for path in (ROOT / 'docs/en/_static').glob('*.svg')} == set(drawn)
    for name, text in drawn.items():
        assert (ROOT / f'docs/en/_static/{name}.svg').read_text() == text, 'run python docs/figures.py'


@pytest.fixture
def extended(tmp_path, run_tool, tiny_teacher):
    """A function that trains a page's code for an epoch; returns the log and a function that runs a tool."""

    def train(page, file):
        code, config = blocks(ROOT / f'docs/en/{page}.md')
        assert code.startswith(f'# {file}') and config.startswith(('# my_config.py', '# my_method.py'))
        (tmp_path / 'configs').symlink_to(ROOT / 'configs')
        (tmp_path / file).write_text(code)
        (tmp_path / 'my_config.py').write_text(config)
        given = [tmp_path / 'my_config.py']
        if 'my_method' in config:
            given = [CELL, '--method', *given]
        env = {'PYTHONPATH': f'{ROOT}:{tmp_path}'}
        run_tool(
            'train.py', *given, '--work-dir', tmp_path / 'run', '--cfg-options',
            f'model.teacher.checkpoint={tiny_teacher}', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1',
            'default_hooks.logger.interval=1', env=env,
        )  # fmt: skip
        (log,) = (tmp_path / 'run').glob('*/*.log')
        return log.read_text(), lambda name, *args: run_tool(name, *args, env=env)

    return train


def test_a_loss_of_ones_own_trains_as_the_page_says(extended):
    code, _ = blocks(ROOT / 'docs/en/add_a_loss.md')
    assert len([x for x in code.split('@MODELS')[1].splitlines() if x.strip()]) < 20
    log, _ = extended('add_a_loss', 'my_losses.py')
    assert re.search(r'loss_ce: \d', log)
    assert re.search(r'loss_cosinestage: \d', log) and re.search(r'loss_logitmse: \d', log)


def test_an_algorithm_of_ones_own_trains_as_the_page_says(extended, tmp_path):
    log, _ = extended('add_an_algorithm', 'my_algorithms.py')
    assert re.search(r'loss_embedding: \d.* predicted_norm: \d', log)
    total, label, term = (
        float(re.search(rf' {x}: ([\d.]+)', log)[1]) for x in ('loss', 'loss_ce', 'loss_embedding')
    )
    assert total == pytest.approx(label + term, abs=2e-4), 'the norm is no part of the loss'
    state = torch.load(tmp_path / 'run/epoch_1.pth', weights_only=False)['state_dict']
    assert 'predictor.weight' in state and not any('teacher' in key for key in state)


def test_a_net_of_ones_own_trains_is_tested_and_exported_as_the_page_says(extended, tmp_path):
    log, run = extended('add_a_net', 'my_nets.py')
    assert re.search(r'loss_dfra_stage: \d', log) and 'msdf_weight_3' in log and 'msdf_weight_4' not in log
    config, checkpoint = tmp_path / 'my_config.py', tmp_path / 'run/epoch_1.pth'
    run('model_converters/export_student.py', config, checkpoint, tmp_path / 'small.pth')
    accuracies = [
        re.findall(r'accuracy/top1: [\d.]+', done.stdout + done.stderr)[-1]
        for done in (
            run('test.py', config, file, '--work-dir', tmp_path)
            for file in (checkpoint, tmp_path / 'small.pth')
        )
    ]
    assert accuracies == [re.findall(r'accuracy/top1: [\d.]+', log)[-1]] * 2
    scope = {}
    exec(compile(blocks(ROOT / 'docs/en/add_a_net.md')[0].split('@MODELS')[0], 'docs', 'exec'), scope)
    plain = scope['SmallCNN']((8, 16, 32), 10)
    plain.load_state_dict(torch.load(tmp_path / 'small.pth', weights_only=True)['state_dict'])
