"""One grammar of all tools: TOOL CONFIG [CHECKPOINT] --out FILE; mmpretrain's names are accepted."""

import os
import subprocess
from importlib import import_module

import pytest

from tests import preloaded
from tests.conftest import ROOT

TOOLS = {
    path.stem: import_module('.'.join(path.relative_to(ROOT).with_suffix('').parts))
    for folder in (
        'tools',
        'tools/*_tools',
        'tools/*_converters',
        'tools/deployment',
        'tools/misc',
        'tools/visualization',
        'demo',
    )
    for path in sorted(ROOT.glob(f'{folder}/*.py'))
    if path.stem not in ('tutorial', 'digits', 'model_zoo', 'print_config')
}

# By tool: arguments before --out, a file that is taken, and mmpretrain's way to say the same.
OUT = {
    'test': ('c.py x.pth', 'm.json', 'c.py x.pth --out m.json --out-item metrics'),
    'preflight': ('c.py', 'r.json', None),
    'agreement': ('c.py x.pth', 'a.png', None),
    'get_flops': ('c.py', 'a.png', None),
    'analyze_results': ('c.py p.npz', 'folder', 'c.py p.npz --out-dir folder'),
    'confusion_matrix': ('c.py x.pth', 'a.png', 'c.py x.pth --show-path a.png'),
    'export': ('c.py x.pth', 'a.onnx', 'c.py x.pth --out a.onnx --format onnx'),
    'browse_dataset': ('c.py', 'train.png', 'c.py -o . --not-show'),
    'vis_cam': ('c.py x.pth --image 3', 'a.png', '3 c.py x.pth --save-path a.png'),
    'vis_cka': ('c.py x.pth', 'a.png', None),
    'vis_fusion': ('c.py x.pth', 'a.png', None),
    'vis_relations': ('c.py x.pth', 'a.png', None),
    'vis_scheduler': ('c.py', 'a.png', 'c.py -s a.png --not-show'),
    'vis_sublogits': ('c.py x.pth', 'a.png', None),
    'vis_tsne': ('c.py x.pth', 'a.png', 'c.py --checkpoint x.pth --out a.png'),
}

DEFAULTS = dict(export=('repeats', 50), preflight=('steps', 10), vis_tsne=('init', 'random'))


def parsed(tool, text):
    found = vars(TOOLS[tool].parse_args(text.split()))
    return {key: os.path.normpath(x) if key == 'out' and x else x for key, x in found.items()}


@pytest.mark.parametrize('tool', OUT)
def test_out_names_the_file_and_its_ending_the_kind(tool, capsys):
    begin, file, old = OUT[tool]
    found = parsed(tool, f'{begin} --out {file}')
    assert found['config'] == 'c.py' and file in found.values()
    if old is not None:
        ignored = ('format', 'not_show', 'last', 'output_dir')
        same = [{k: x for k, x in y.items() if k not in ignored} for y in (found, parsed(tool, old))]
        assert same[0] == same[1]
    if '.' in file:
        with pytest.raises(SystemExit):
            parsed(tool, f'{begin} --out x.gif')
        assert f'expected a file *.{file.split(".")[1]}' in capsys.readouterr().err


@pytest.mark.parametrize('tool', TOOLS)
def test_help_shows_the_defaults(tool, capsys, monkeypatch):
    monkeypatch.setenv('COLUMNS', '200')
    module = TOOLS[tool]
    with pytest.raises(SystemExit):
        getattr(module, 'parse_args', getattr(module, 'main', None))(['--help'])
    shown = capsys.readouterr().out
    assert 'SUPPRESS' not in shown and '--out-item' not in shown and '--not-show' not in shown
    if tool in DEFAULTS:
        name, default = DEFAULTS[tool]
        (line,) = [x for x in shown.splitlines() if x.strip().startswith(f'--{name} ')]
        assert f'(default: {default})' in line


@pytest.mark.parametrize(
    'tool, given', [('export_student', ['c.py', 'x.pth']), ('plain_checkpoint', ['x.pth'])]
)
def test_converters_take_out_as_a_flag_and_as_the_last_argument(tool, given, monkeypatch, capsys):
    seen = []
    module = TOOLS[tool]
    for name in ('config_of', 'export_student', 'plain', 'written_whole'):
        monkeypatch.setattr(module, name, lambda *args: seen.append(args), raising=False)
    for arguments in ([*given, '--out', 'y.bin'], [*given, 'y.bin'], given):
        with pytest.raises(SystemExit):
            module.main(arguments)
    errors = capsys.readouterr().err
    assert errors.count('expected a file *.pth') == 2 and '--out is required' in errors
    assert not seen


def test_the_help_of_the_tutorial_trains_nothing_and_writes_nothing(tmp_path):
    command = [preloaded.python(), str(ROOT / 'demo/tutorial.py'), '--help']
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0 and '--epochs' in done.stdout and not list(tmp_path.iterdir())
