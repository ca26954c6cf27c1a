"""tools/misc/list_configs.py."""

from tests.conftest import ROOT

METHODS = 'at cat cc crd dist dkd fitnet hcd kd lskd mldrkd ofa rkd rld rsd rsd-logits scratch vkd'


def test_pairs_and_methods_are_listed(run_tool):
    printed = run_tool('misc/list_configs.py').stdout
    files = [x for x in printed.split() if x.endswith('.py')]
    assert sorted(files) == sorted(f'configs/mldrkd/{x.name}' for x in (ROOT / 'configs/mldrkd').glob('*.py'))
    assert f'{len(files)} pairs, each with --method {" | ".join(METHODS.split())}' in printed
    assert any(
        [y.strip() for y in x.split('|')[1:4]] == ['deit-t', 'res18', 'cifar100']
        for x in printed.splitlines()
    )


def test_one_data_set_and_files(run_tool):
    files = run_tool('misc/list_configs.py', '--data', 'digits', '--files').stdout.split()
    assert len(files) == 1 and all((ROOT / name).exists() and name.endswith('digits.py') for name in files)
    done = run_tool('misc/list_configs.py', '--data', 'cifra', check=False)
    assert done.returncode
    assert "expected one of ['aircraft', 'cifar100', 'cifar100_32px', " in done.stderr
