"""tools/misc/list_configs.py."""

import signal
import subprocess

from tests.conftest import ROOT, tool_command
from tools.misc import list_configs

METHODS = 'at cat cc crd dist dkd fitnet hcd kd lskd mldrkd ofa rkd rld rsd rsd-logits scratch vkd'


def test_pairs_and_methods_are_listed(run_tool):
    printed = run_tool('misc/list_configs.py').stdout
    files = [x for x in printed.split() if x.endswith('.py')]
    assert sorted(files) == sorted(f'configs/mldrkd/{x.name}' for x in (ROOT / 'configs/mldrkd').glob('*.py'))
    assert f'pairs: {len(files)}, each with --method {" | ".join(METHODS.split())}' in printed
    assert any(
        [y.strip() for y in x.split('|')[1:4]] == ['deit-t', 'res18', 'cifar100']
        for x in printed.splitlines()
    )


def test_a_reader_that_leaves_early_is_no_mistake():
    command, environ = tool_command('misc/list_configs.py')
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b'' and process.wait() == 128 + signal.SIGPIPE


def test_elsewhere_pairs_have_their_names_in_the_package(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    list_configs.main(['--data', 'digits', '--files'])
    assert capsys.readouterr().out == 'hetkd::mldrkd/vit-micro_cnn-micro_digits\n'


def test_one_data_set_and_files(run_tool):
    files = run_tool('misc/list_configs.py', '--data', 'digits', '--files').stdout.split()
    assert len(files) == 1 and all((ROOT / name).exists() and name.endswith('digits.py') for name in files)
    done = run_tool('misc/list_configs.py', '--data', 'cifra', check=False)
    assert done.returncode
    assert "expected one of ['aircraft', 'cifar100', 'cifar100_32px', " in done.stderr
