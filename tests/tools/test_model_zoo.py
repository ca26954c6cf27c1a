"""The model zoo is derived from results, and a file that says otherwise is found."""

import json
import shutil

import pytest
import yaml

from hetkd.apis.config import methods
from hetkd.errors import UserError
from tests.conftest import ROOT
from tools import model_zoo
from tools.model_zoo import collect, derive, main, read_cells

METAFILE = 'configs/_base_/methods/metafile.yml'


def record(last, best, epoch=20, **more):
    metrics = {'10': {'accuracy/top1': best}, str(epoch): {'accuracy/top1': last, **more}}
    return dict(
        finished=True,
        epochs=epoch,
        metrics=metrics,
        last=dict(epoch=epoch, value=last),
        best=dict(epoch=10, value=best),
        settings=dict(batch_size=64, processes=1),
        machine=dict(system='mine', threads=1),
    )


@pytest.fixture
def checkout(tmp_path):
    """A checkout with an empty zoo and one comparison."""
    (tmp_path / 'configs/_base_/methods').mkdir(parents=True)
    shutil.copy(ROOT / METAFILE, tmp_path / METAFILE)
    (tmp_path / 'docs/zoo').mkdir(parents=True)
    (tmp_path / 'docs/en').mkdir()
    shutil.copy(ROOT / 'docs/zoo/reported.yml', tmp_path / 'docs/zoo')
    runs = {
        'scratch/vit-micro_cnn-micro_digits/seed0': record(50.0, 51.0, **{'calibration/ece': 7.0}),
        'scratch/vit-micro_cnn-micro_digits/seed1': record(52.0, 53.0, **{'calibration/ece': 9.0}),
        'kd/vit-micro_cnn-micro_digits/seed0': record(60.0, 61.0, **{'teacher/top1': 97.0}),
        'kd/vit-micro_cnn-micro_digits/seed1': record(61.0, 63.0, **{'teacher/top1': 97.0}),
        'kd/swin-t_res18_cifar100/seed0': record(70.0, 71.0),
        'kd/broken_digits/seed0': dict(record(1.0, 1.0), finished=False),
    }
    for name, content in runs.items():
        folder = tmp_path / 'work' / name
        (folder / 'a/vis_data').mkdir(parents=True)
        (folder / 'results.json').write_text(json.dumps(content))
        (folder / 'a/vis_data/scalars.json').write_text('{"loss": 1}\n')
    return tmp_path


def test_rows_hold_what_the_runs_hold(checkout):
    assert len(collect(checkout / 'work', checkout)) == 5, 'the unfinished one is left out'
    assert [(x.method, x.teacher, x.student, x.data, x.image_size) for x in read_cells(checkout)] == [
        ('kd', 'swin-t', 'res18', 'cifar100', 224),
        ('kd', 'vit-micro', 'cnn-micro', 'digits', 16),
        ('scratch', '', 'cnn-micro', 'digits', 16),
    ]
    kept = checkout / 'docs/zoo/scratch/vit-micro_cnn-micro_digits/seed0/results.json'
    kept = json.loads(kept.read_text())
    assert kept['machine'] == dict(threads=1)
    page = derive(checkout)['docs/en/model_zoo.md']
    digits = page.split('### Digits')[1].split('\n\n')
    assert digits[1] == 'At 16 px; epochs: 20, seeds: 2.'
    scratch, kd = digits[2].splitlines()[2:]
    pair = '(../../configs/mldrkd/vit-micro_cnn-micro_digits.py) | '
    assert scratch.startswith(
        f'| cnn-micro | [labels only]{pair}51.00 ± 1.41 | 52.00 ± 1.41 |  |  | 8.0 | [log]'
    )
    assert kd.startswith(
        f'| vit-micro → cnn-micro | [KD]{pair}60.50 ± 0.71 | 62.00 ± 1.41 | +9.50 | 97.00 |  | [log]'
    )
    reported = [x for x in page.splitlines() if x.startswith('| swin-t → res18') and '| [KD](' in x]
    assert '| 70.00 | 71.00 | 78.74 |' in reported[-1]
    models = yaml.safe_load(derive(checkout)[METAFILE])['Models']
    assert [(x['In Collection'], x['Results'][0]['Metrics']['Top 1 Accuracy']) for x in models] == [
        ('KD', 70.0),
        ('KD', 60.5),
        ('Scratch', 51.0),
    ]
    assert models[0]['Config'] == 'configs/mldrkd/swin-t_res18_cifar100.py'
    assert models[0]['Metadata']['Command'] == f'python tools/train.py {models[0]["Config"]} --method kd'


def test_teachers_and_methods_of_ones_own_have_rows_too(checkout):
    for name in ('teachers/vit-micro_digits', 'mine/vit-micro_cnn-micro_digits'):
        shutil.copytree(checkout / 'work/kd/vit-micro_cnn-micro_digits', checkout / 'work' / name)
    collect(checkout / 'work', checkout)
    page = derive(checkout)['docs/en/model_zoo.md']
    assert '| vit-micro | [labels only](' in page and '| vit-micro → cnn-micro | [mine](' in page


def test_a_changed_row_is_found(checkout, monkeypatch, capsys):
    monkeypatch.setattr(model_zoo, 'ROOT', checkout)
    main(['collect', str(checkout / 'work')])
    main(['check'])
    for name in ('docs/en/model_zoo.md', METAFILE):
        path = checkout / name
        text = path.read_text()
        path.write_text(text.replace('60.5', '66.5'))
        with pytest.raises(SystemExit, match=r'1 file\(s\) differ'):
            main(['check'])
        assert '66.5' in capsys.readouterr().out
        path.write_text(text)
    with pytest.raises(UserError, match='expected finished runs'):
        main(['collect', str(checkout / 'docs')])


def test_the_zoo_of_this_checkout_says_what_its_results_say():
    main(['check'])


def test_every_reported_value_has_a_config_and_a_source():
    reported = yaml.safe_load((ROOT / 'docs/zoo/reported.yml').read_text())
    for value in reported['values']:
        pair = ROOT / f'configs/mldrkd/{value["config"]}.py'
        assert value['method'] in methods() and pair.exists(), value
        assert value['source'] in reported['sources'] and 50 < value['top1'] < 100


@pytest.mark.parametrize(
    'text, words',
    [
        ('[]', 'the record of a run, got a damaged file'),
        ('{"metrics"', 'the record of a run, got a damaged file'),
        (
            '{"metrics": {}, "finished": true}',
            r"with \['best', 'epochs', 'last', 'settings'\], got one without",
        ),
    ],
)
def test_a_record_that_is_no_record_is_named(text, words, checkout):
    path = checkout / 'work/kd/vit-micro_cnn-micro_digits/seed1/results.json'
    path.write_text(text)
    with pytest.raises(UserError, match=f'seed1/results.json: expected .*{words}'):
        collect(checkout / 'work', checkout)
