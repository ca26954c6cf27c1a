"""The model zoo is derived from results, and a file that says otherwise is found."""

import json
import re
import shutil

import pytest
import yaml
from mmengine.config import Config

from hetkd.apis import init_model
from hetkd.apis.config import methods
from hetkd.apis.release_assets import pack
from hetkd.errors import UserError
from hetkd.utils.digest import file_digest
from hetkd.visualization import Bar, gain_chart
from tests.conftest import ROOT
from tools import model_zoo
from tools.model_zoo import CHART, DATA, PAGE, Cell, _collection, collect, derive, main, read_cells

METAFILE = 'configs/_base_/methods/metafile.yml'


def record(last, best, epoch=20, **more):
    metrics = {'10': {'accuracy/top1': best}, str(epoch): {'accuracy/top1': last, **more}}
    return dict(
        finished=True,
        epochs=epoch,
        metrics=metrics,
        last=dict(epoch=epoch, value=last),
        best=dict(epoch=10, value=best),
        seconds=900.0,
        settings=dict(batch_size=64, processes=1),
        machine=dict(system='mine', device='', threads=1),
    )


@pytest.fixture
def checkout(tmp_path):
    """A checkout with an empty zoo and one comparison."""
    (tmp_path / 'configs/_base_/methods').mkdir(parents=True)
    shutil.copy(ROOT / METAFILE, tmp_path / METAFILE)
    (tmp_path / 'docs/zoo').mkdir(parents=True)
    (tmp_path / 'docs/en').mkdir()
    shutil.copy(ROOT / 'docs/zoo/reported.yml', tmp_path / 'docs/zoo')
    (tmp_path / 'configs/mldrkd').mkdir()
    (tmp_path / 'configs/mldrkd/swin-t_res18_cifar100.py').touch()
    runs = {
        'scratch/vit-micro_cnn-micro_digits/seed0': record(50.0, 51.0, **{'calibration/ece': 7.0}),
        'scratch/vit-micro_cnn-micro_digits/seed1': record(52.0, 53.0, **{'calibration/ece': 9.0}),
        'kd/vit-micro_cnn-micro_digits/seed0': record(60.0, 61.0, **{'teacher/top1': 97.0}),
        'kd/vit-micro_cnn-micro_digits/seed1': record(61.0, 63.0, **{'teacher/top1': 97.0}),
        'kd/swin-t_res18_cifar100/seed0': dict(record(70.0, 71.0), machine=dict(device='A100')),
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
    assert kept['machine'] == dict(device='', threads=1)
    page = derive(checkout)[PAGE]
    digits = page.split('### Digits')[1].split('\n\n')
    facts = 'student: CNN; teacher: 97.00 %; epochs: 20; all runs: 1.0 h; device: CPU.'
    assert digits[1] == f'**vit-micro → cnn-micro**; {facts}'
    scratch, kd = digits[2].splitlines()[2:]
    pair = '(../../configs/mldrkd/vit-micro_cnn-micro_digits.py) | '
    assert scratch.startswith(f'| [labels only]{pair}51.00 ± 1.41 |  | 52.00 ± 1.41 | 8.0 | 2 | [log]')
    assert kd.startswith(f'| [KD]{pair}60.50 ± 0.71 | +9.50 (p 0.033) | 62.00 ± 1.41 |  | 2 | [log]')
    assert digits[3] == 'Better than labels only: KD.'
    models = yaml.safe_load(derive(checkout)[METAFILE])['Models']
    assert [(x['In Collection'], x['Results'][0]['Metrics']['Top 1 Accuracy']) for x in models] == [
        ('KD', 70.0),
        ('KD', 60.5),
        ('Scratch', 51.0),
    ]
    assert models[0]['Config'] == 'configs/mldrkd/swin-t_res18_cifar100.py'
    assert [x['Metadata']['Training Resources'] for x in models] == ['A100', 'CPU', 'CPU']
    assert '; device: A100.' in page and '; device: A100, CPU' not in page
    assert models[0]['Metadata']['Command'] == f'python tools/train.py {models[0]["Config"]} --method kd'


def test_teachers_and_methods_of_ones_own_have_rows_too(checkout):
    for name in ('teachers/vit-micro_digits', 'mine/vit-micro_cnn-micro_digits'):
        shutil.copytree(checkout / 'work/kd/vit-micro_cnn-micro_digits', checkout / 'work' / name)
    collect(checkout / 'work', checkout)
    page = derive(checkout)[PAGE]
    teacher = page.split('**vit-micro**; student: Transformer; ')[1].split('\n\n')[1]
    assert '| [labels only](' in teacher and '| [mine](' in page
    assert 'Better than labels only: KD; mine.' in page


def test_seeds_of_a_row_are_of_one_setting_and_their_teachers_are_told(checkout):
    runs = checkout / 'work/kd/vit-micro_cnn-micro_digits'
    second = json.loads((runs / 'seed1/results.json').read_text())
    second['teachers'], second['metrics']['20']['teacher/top1'] = [dict(net='ViT', digest='ab')], 95.0
    (runs / 'seed1/results.json').write_text(json.dumps(second))
    collect(checkout / 'work', checkout)
    page = derive(checkout)[PAGE]
    assert 'teacher: 95.00 or 97.00 %' in page and '| 2, 2 teachers | [log]' in page
    for change in (
        dict(epochs=30),
        dict(settings=dict(batch_size=64, processes=2)),
        dict(data=dict(digest='x')),
    ):
        (runs / 'seed1/results.json').write_text(json.dumps(second | change))
        collect(checkout / 'work', checkout)
        with pytest.raises(
            UserError, match='docs/zoo/kd/vit-micro_cnn-micro_digits: expected seeds with the'
        ):
            derive(checkout)


def test_a_distilled_teacher_says_by_what(checkout):
    run = checkout / 'work/teachers/vit-micro_digits/seed0'
    run.mkdir(parents=True)
    (run / 'results.json').write_text(json.dumps(record(90.0, 91.0) | dict(teachers=[dict(net='ResNet')])))
    collect(checkout / 'work', checkout)
    assert '| [distilled from ResNet](' in derive(checkout)[PAGE]


def test_a_changed_row_is_found(checkout, monkeypatch, capsys):
    monkeypatch.setattr(model_zoo, 'ROOT', checkout)
    main(['collect', str(checkout / 'work')])
    main(['check'])
    for name, value in ((PAGE, '60.5'), (METAFILE, '60.5'), (CHART, '9.50')):
        path = checkout / name
        text = path.read_text()
        path.write_text(text.replace(value, '66.66'))
        with pytest.raises(SystemExit, match=r'1 file\(s\) differ'):
            main(['check'])
        assert '66.66' in capsys.readouterr().out
        path.write_text(text)
    with pytest.raises(UserError, match='expected finished runs'):
        main(['collect', str(checkout / 'docs')])


def test_the_zoo_of_this_checkout_says_what_its_results_say():
    main(['check'])


def test_every_reported_value_has_a_config_and_a_source():
    reported = yaml.safe_load((ROOT / 'docs/zoo/reported.yml').read_text())
    for value in reported['values']:
        # Logs in public are also of pairs that have no config here.
        logged = reported['sources'][value['source']]['confidence'] == 'log'
        pair = ROOT / f'configs/mldrkd/{value["config"]}.py'
        assert value['method'] in methods() and (pair.exists() or logged), value
        assert 50 < value['top1'] < 100


def test_published_values_stand_beside_ours_with_the_command_that_fills_them(checkout):
    collect(checkout / 'work', checkout)
    published = derive(checkout)[PAGE].split('## Published')[1]
    pairs = dict(re.findall(r'^\*\*(.+?)\*\*[.;](.*?)(?=^\*\*|\Z)', published, re.MULTILINE | re.DOTALL))
    mine = pairs['swin-t → res18']
    assert mine.startswith(' teacher: 89.26, reported; labels only: 74.01, reported.')
    assert (
        'compare.py configs/mldrkd/swin-t_res18_cifar100.py \\\n    --methods scratch crd kd fitnet ' in mine
    )
    link = '(../../configs/mldrkd/swin-t_res18_cifar100.py)'
    assert f'| [KD]{link} | 70.00 | 71.00 | 78.74 | reported | 3 |' in mine
    assert f'| [OFA]{link} |  |  | 81.59 | logged | 4 |' in mine
    other = pairs['vit-s → mobilenetv2']
    assert 'compare.py' not in other and '| KD |  |  | ' in other, 'no config: no link and no command'


def with_seeds(checkout, **lasts):
    """A page and chart of runs of a method with these last values, one a seed."""
    for method, values in lasts.items():
        for seed, value in enumerate(values):
            folder = checkout / f'docs/zoo/{method}/effnet-lite0_vit-nano_cifar100_32px/seed{seed}'
            folder.mkdir(parents=True)
            (folder / 'results.json').write_text(json.dumps(record(value, value)))
    return derive(checkout)


def test_a_gain_counts_only_where_it_exceeds_the_seeds_spread(checkout):
    runs = dict(kd=[45.0, 46.5, 48.1], ofa=[41.0, 44.0, 41.5], rkd=[37.0, 38.4, 38.7], crd=[50.0])
    files = with_seeds(checkout, scratch=[40.0, 42.0, 43.0], **runs)
    assert '\nBetter than labels only: KD. Within noise of labels only: OFA. ' in files[PAGE]
    assert ' Worse than labels only: RKD. One seed, so not judged: CRD.\n' in files[PAGE]
    assert '### CIFAR-100, 32 px' in files[PAGE] and '| +0.50, within noise (p 0.68) |' in files[PAGE]
    titles = re.findall('class="title".*?>(.+)</text>\n<text class="small".*?>(.+)</text>', files[CHART])
    nets = 'Transformer student: effnet-lite0 → vit-nano'
    assert titles == [(nets, 'CIFAR-100, 32 px; epochs: 20, seeds: 1 or 3')], 'one table, one panel'
    assert 'class="bar noise"' in files[CHART] and 'grey: within noise, or one seed<' in files[CHART]


def test_the_chart_has_gains_and_their_spread_to_scale(checkout):
    runs = dict(kd=[44.0, 46.0, 48.0], ofa=[41.0, 44.0, 41.5], rkd=[37.0, 38.4, 38.7])
    chart = with_seeds(checkout, scratch=[40.0, 42.0, 43.0], **runs)[CHART]
    rows = re.findall(
        r'([\w-]+)</text><path class="bar (\w+)" d="M(.+?) \d+H([\d.]+)M.*? cx="(.+?)".*?>([-+].+?)</text>',
        chart,
    )
    names, kinds, *_, texts = zip(*rows)
    assert names == ('RKD', 'OFA', 'KD') and kinds == ('worse', 'noise', 'better')
    assert texts == ('-3.63 ± 0.65', '+0.50 ± 1.80', '+4.33 ± 0.58')
    at = {int(value): float(x) for x, value in re.findall(r'middle" x="(.+?)".*?>([-+]?\d+)</text>', chart)}
    point = (at[2] - at[0]) / 2
    for (_, _, low, high, middle, text), mean, spread in zip(
        rows, (-3.633, 0.5, 4.333), (0.651, 1.803, 0.577)
    ):
        assert float(middle) == pytest.approx(at[0] + mean * point, abs=0.2), text
        assert (float(high) - float(low)) / 2 == pytest.approx(spread * point, abs=0.2), text


def test_a_sweeps_runs_are_rows_of_their_own(checkout):
    pair = 'vit-micro_cnn-micro_digits'
    for row, last in {
        f'mldrkd/{pair}/model.dfra.alpha=0.5': 58.0,
        f'mldrkd/{pair}/model.dfra.alpha=4': 70.0,
        f'kd/{pair}/train_dataloader.batch_size=16': 66.0,
        f'kd/{pair}/train_dataloader.batch_size=16/model.ce_weight=0.5': 67.0,
        f'scratch/{pair}/train_dataloader.batch_size=16': 30.0,
        'kd/swin-t_res18_cifar100/model.ce_weight=0.5': 99.0,
        f'zoo/kd/{pair}': 99.0,  # a folder of comparisons is not a comparison
    }.items():
        for seed in range(2):
            folder = checkout / f'work/{row}/seed{seed}'
            (folder / 'a/vis_data').mkdir(parents=True)
            step = 1 if row.startswith('scratch') else 1.5
            (folder / 'results.json').write_text(json.dumps(record(last + seed * step, last)))
            (folder / 'a/vis_data/scalars.json').touch()
    collect(checkout / 'work', checkout)
    files = derive(checkout)
    table = files[PAGE].split('### Digits')[1].split('\n\n')
    rows = [x.split(' | ') for x in table[2].splitlines()[2:]]
    assert [(re.search(r'\[(.+?)\]', x[0])[1], x[2]) for x in rows] == [
        ('labels only, train_dataloader.batch_size=16', ''),
        ('labels only', ''),
        ('MLDR-KD, dfra.alpha=0.5', '+7.75 (p 0.021)'),
        ('KD', '+9.50 (p 0.033)'),
        ('KD, train_dataloader.batch_size=16', '+36.25 (p 0.0044)'),
        ('KD, train_dataloader.batch_size=16, ce_weight=0.5', '+37.25 (p 0.0043)'),
        ('MLDR-KD, dfra.alpha=4', '+19.75 (p 0.0081)'),
    ], 'sorted; over the student alone with the same data'
    assert 'Better than labels only: MLDR-KD, dfra.alpha=0.5; KD; KD, train' in table[3]
    for row in rows:
        link = re.search(r'\[log\]\(\.\./(.+?)\)', row[-1])[1]
        assert (checkout / 'docs' / link).exists() and len(rows) == len({x[-1] for x in rows})
    assert files[CHART].count('<circle') == 1 and '>KD</text>' in files[CHART], 'the chart compares methods'
    assert '| 70.00 | 71.00 | 78.74 |' in files[PAGE], "the published table has the method's own settings"
    models = {x['Name']: x for x in yaml.safe_load(files[METAFILE])['Models']}
    model = models[f'kd_{pair}_train_dataloader.batch_size=16_model.ce_weight=0.5']
    options = '--method kd --cfg-options train_dataloader.batch_size=16 model.ce_weight=0.5'
    assert model['Metadata']['Command'].endswith(options) and model['In Collection'] == 'KD'


def test_what_a_sweep_has_changed_in_a_whole_table_is_said_once(checkout):
    """A longer training: a table and a panel of its own, with the names of the methods."""
    for method, lasts in dict(scratch=(60.0, 61.0), kd=(65.0, 65.5), mldrkd=(70.0, 71.5)).items():
        for seed, last in enumerate(lasts):
            changes = 'train_cfg.max_epochs=60/param_scheduler.1.end=60'
            changes += '/model.dfra.alpha=4' if method == 'mldrkd' else ''
            folder = checkout / f'work/{method}/vit-micro_cnn-micro_digits/{changes}/seed{seed}'
            (folder / 'a/vis_data').mkdir(parents=True)
            (folder / 'results.json').write_text(json.dumps(record(last, last, epoch=60)))
            (folder / 'a/vis_data/scalars.json').touch()
    collect(checkout / 'work', checkout)
    files = derive(checkout)
    measured = files[PAGE].split('### Digits')[1].split('## Published')[0]
    short, longer = measured.split('**vit-micro → cnn-micro**')[1:]
    assert 'all rows with' not in short and '| [KD](' in short
    facts = '; epochs: 60; all rows with `train_cfg.max_epochs=60 param_scheduler.1.end=60`; all runs: '
    assert facts in longer
    assert re.findall(r'\| \[(.+?)\]\(\S+ \| (\S+)', longer) == [
        ('labels only', '60.50'),
        ('KD', '65.25'),
        ('MLDR-KD, dfra.alpha=4', '70.75'),
    ]
    assert '+4.75 (p 0.033)' in longer and 'epochs: 60' in files[CHART] and 'alpha' not in files[CHART]
    models = {x['Name']: x for x in yaml.safe_load(files[METAFILE])['Models']}
    name = 'kd_vit-micro_cnn-micro_digits_train_cfg.max_epochs=60_param_scheduler.1.end=60'
    assert models[name]['Metadata']['Epochs'] == 60


def test_every_method_that_comes_along_has_a_name_and_a_collection():
    pieces = sorted(x.stem for x in (ROOT / 'configs/_base_/methods').glob('*.py'))
    names = [Cell(x, 'a_b_digits', {}).label for x in pieces]
    assert len(set(names)) == len(pieces) > 15 and not set(names) & set(pieces)
    known = [
        x['Name']
        for path in (ROOT / 'configs').rglob('metafile.yml')
        for x in yaml.safe_load(path.read_text())['Collections']
    ]
    assert [x for x in pieces if _collection(Cell(x, 'a_b_digits', {})) not in known] == []


def test_the_chart_has_room_for_its_longest_name():
    bar = Bar(1.0, 0.5, True)
    names = 'KD', 'MLDR-KD, train_dataloader.batch_size=16, dfra.alpha=0.5'
    for name in names:
        chart = gain_chart({'a': {name: bar}})
        end = float(re.search(rf'x="([\d.]+)" y="[\d.]+">{name}<', chart)[1])
        assert end > 7 * len(name) and float(re.search('cx="(.+?)"', chart)[1]) > end


def test_every_pair_has_data_and_a_student_that_the_zoo_knows():
    cells = [Cell('mldrkd', path.stem, {}) for path in (ROOT / 'configs/mldrkd').glob('*.py')]
    assert (
        len(cells) > 30
        and [x.config for x in cells if not x.family or x.data_name not in DATA.values()] == []
    )
    families = {x.student: x.family for x in cells}
    names = ('res18-w16', 'resmlp-s12', 'vim-nano', 'vit-nano', 'mixer-nano')
    assert [families[x] for x in names] == ['CNN', 'MLP', 'Mamba', 'Transformer', 'MLP']
    few = Cell('kd', 'effnet-lite0_res18-w16_cifar100_32px_50labels', {})
    assert '50 labels' in few.data_name and few.image_size == 32


@pytest.fixture
def comparison(short_run, tmp_path):
    """A folder of tools/compare.py with one finished run."""
    folder = tmp_path / 'work/mldrkd/vit-micro_cnn-micro_digits/seed0'
    shutil.copytree(short_run.work_dir, folder)
    return folder


def test_pack_makes_assets_that_give_the_runs_numbers(comparison, tiny_teacher, run_tool, tmp_path):
    out, student = tmp_path / 'assets', 'mldrkd_vit-micro_cnn-micro_digits_seed0'
    cached = comparison.with_name('seed1')
    shutil.copytree(comparison, cached)
    cfg = Config.fromfile(cached / 'vit-micro_cnn-micro_digits.py')
    cfg.model.teacher.cache = 'caches/away'
    cfg.dump(cfg.filename)
    for value in ('0.5', '4'):
        shutil.copytree(comparison, comparison.parent / f'model.dfra.alpha={value}/seed0')
    main(['pack', str(tmp_path / 'work'), '--out', str(out)])
    names = {f'{student}.pth', f'{student}.py', tiny_teacher.name, 'README.md'}
    sums = dict(reversed(x.split('  ')) for x in (out / 'SHA256SUMS').read_text().splitlines())
    assert sums == {x: file_digest(out / x) for x in sums} and names <= sums.keys()
    assert {x.name for x in out.iterdir()} == {*sums, 'SHA256SUMS'}
    last = json.loads((comparison / 'results.json').read_text())['last']['value']
    table = (out / 'README.md').read_text()
    assert (
        f'| `{student}.pth` | student of `vit-micro_cnn-micro_digits` | mldrkd | 0 | 2 | {last:.2f} |'
        in table
    )
    assert table.count(f'| `{tiny_teacher.name}` | teacher |') == 1 and table.count('| student of ') == 4
    swept = 'mldrkd_vit-micro_cnn-micro_digits_model.dfra.alpha-0.5_seed0'
    assert (
        f'| `{swept}.pth` | student of `vit-micro_cnn-micro_digits` | mldrkd, dfra.alpha=0.5 | 0 |' in table
    )
    assert sum(x.endswith('.pth') for x in sums) == 5 and f'{swept}.pth' in sums
    assert init_model(str(out / f'{swept}.py'), str(out / f'{swept}.pth'))
    done = run_tool('test.py', out / f'{student}.py', out / f'{student}.pth', '--work-dir', tmp_path / 'test')
    assert f'accuracy/top1: {last:.4g}' in done.stdout and len(done.stdout.splitlines()) <= 3
    assert not hasattr(init_model(str(out / f'{student}.py'), str(out / f'{student}.pth')), 'teachers')
    assert str(tmp_path) not in (out / f'{student}.py').read_text(), 'no place of this machine'


def test_teachers_of_one_file_name_are_refused_and_those_of_a_library_left_out(
    comparison, tiny_teacher, tmp_path
):
    cfg = Config.fromfile(comparison / 'vit-micro_cnn-micro_digits.py')
    other = comparison.with_name('seed1')
    shutil.copytree(comparison, other)
    away = tmp_path / 'away' / tiny_teacher.name
    away.parent.mkdir()
    shutil.copy(tiny_teacher, away)
    cfg.model.teacher.checkpoint = str(away)
    cfg.dump(other / 'vit-micro_cnn-micro_digits.py')
    with pytest.raises(UserError, match='teachers: expected files whose names differ, got .* and .*away'):
        pack(tmp_path / 'work', tmp_path / 'assets')
    cfg.model.teacher.pop('checkpoint')
    cfg.dump(other / 'vit-micro_cnn-micro_digits.py')
    names = [x.name for x in pack(tmp_path / 'work', tmp_path / 'assets')]
    assert names.count(tiny_teacher.name) == 1 and sum(x.endswith('.pth') for x in names) == 3


def test_pack_writes_nothing_where_something_is_missing(comparison, tmp_path):
    call = ['pack', str(tmp_path / 'work'), '--out', str(tmp_path / 'assets')]
    (comparison / 'epoch_2.pth').rename(comparison / 'away')
    with pytest.raises(UserError, match='epoch_2.pth: expected weights of a run'):
        main(call)
    assert not (tmp_path / 'assets').exists()
    (comparison / 'away').rename(comparison / 'epoch_2.pth')
    (tmp_path / 'assets').mkdir()
    (tmp_path / 'assets/old.pth').touch()
    with pytest.raises(UserError, match='expected a new or an empty folder, got .*assets, which holds files'):
        main(call)
    shutil.rmtree(comparison)
    (tmp_path / 'assets/old.pth').unlink()
    with pytest.raises(UserError, match='expected finished runs'):
        main(call)


@pytest.mark.parametrize(
    'text, words',
    [
        ('[]', 'the record of a run, got a damaged file'),
        ('{"metrics"', 'the record of a run, got a damaged file'),
        (
            '{"metrics": {}, "finished": true}',
            r"with \['best', 'epochs', 'last', 'machine', 'seconds', 'settings'\], got one without",
        ),
    ],
)
def test_a_record_that_is_no_record_is_named(text, words, checkout):
    path = checkout / 'work/kd/vit-micro_cnn-micro_digits/seed1/results.json'
    path.write_text(text)
    with pytest.raises(UserError, match=f'seed1/results.json: expected .*{words}'):
        collect(checkout / 'work', checkout)
