"""What the README and the docs show works."""

import re
from pathlib import Path

import pytest

from hetkd.apis import load_config

ROOT = Path(__file__).resolve().parent.parent
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
    # The one is trained below, the other run with a student in tests/tools/test_use_the_student.py.
    if page.name not in ('add_a_loss.md', 'use_the_student.md')
]


@pytest.mark.parametrize('block', PYTHON)
def test_a_python_block_works(block, tmp_path):
    """A config loads and a script runs; a fragment, and what needs a trained file, compiles."""
    if '_base_' in block:
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
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize('page', PAGES, ids=lambda x: x.name)
def test_every_link_to_a_file_leads_there(page):
    links = re.findall(r'\]\(([^)#:]+)(?:#[\w-]+)?\)', page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_figures_are_what_the_script_draws():
    from docs.figures import figures

    drawn = figures()
    assert {path.stem for path in (ROOT / 'docs/en/_static').glob('*.svg')} == set(drawn)
    for name, text in drawn.items():
        assert (ROOT / f'docs/en/_static/{name}.svg').read_text() == text, 'run python docs/figures.py'


def test_a_loss_of_ones_own_trains_as_the_page_says(tmp_path, run_tool, tiny_teacher):
    losses, config = blocks(ROOT / 'docs/en/add_a_loss.md')
    assert losses.startswith('# my_losses.py') and config.startswith('# my_config.py')
    first = losses.split('@MODELS')[1]
    assert len([x for x in first.splitlines() if x.strip()]) < 20
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    (tmp_path / 'my_losses.py').write_text(losses)
    (tmp_path / 'my_config.py').write_text(config)
    options = [f'model.teacher.checkpoint={tiny_teacher}', 'train_cfg.max_epochs=1']
    options += ['default_hooks.logger.interval=1']
    env = {'PYTHONPATH': f'{ROOT}:{tmp_path}'}
    done = run_tool(
        'train.py', tmp_path / 'my_config.py', '--no-validate', '--work-dir', tmp_path / 'run',
        '--cfg-options', *options, 'default_hooks.checkpoint.save_best=None', env=env,
    )  # fmt: skip
    log = done.stdout + done.stderr
    assert re.search(r'loss_ce: \d', log)
    assert re.search(r'loss_cosinestage: \d', log) and re.search(r'loss_logitmse: \d', log)
