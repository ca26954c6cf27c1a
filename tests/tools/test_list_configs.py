"""tools/misc/list_configs.py."""

from tests.conftest import ROOT


def test_the_grid_shows_every_file(run_tool):
    printed = run_tool('misc/list_configs.py').stdout
    rows = {line.split('|')[1].strip(): line for line in printed.splitlines() if line.startswith('|')}
    header = [x.strip() for x in rows['pair'].split('|')[2:-1]]
    assert header[-1] == 'scratch' and {'kd', 'crd', 'rsd', 'mldrkd', 'hcd', 'ofa'} < set(header)
    for pair, line in rows.items():
        for method, mark in zip(header, (x.strip() for x in line.split('|')[2:-1])):
            if mark in ('x', ''):
                name = pair.removeprefix('none_')
                assert (ROOT / f'configs/{method}/{name}.py').exists() == (mark == 'x'), (pair, method)


def test_one_data_set_and_files(run_tool):
    files = run_tool('misc/list_configs.py', '--data', 'digits', '--files').stdout.split()
    assert len(files) == 23 and all((ROOT / name).exists() and name.endswith('digits.py') for name in files)
    done = run_tool('misc/list_configs.py', '--data', 'cifra', check=False)
    assert done.returncode
    assert "expected one of ['aircraft', 'cifar100', 'cifar100_10pct_32px', 'cifar100_32px', " in done.stderr
