"""One run of a comparison, without training."""

import argparse
import json
import re
import sys
import time
from threading import Event, Thread

import pytest

from hetkd.apis import load_config
from hetkd.apis.cell import Cell
from hetkd.apis.cli import Options
from hetkd.errors import UserError
from tests.conftest import ROOT

CONFIG = ROOT / 'configs/mldrkd/vit-micro_cnn-micro_digits.py'


@pytest.fixture
def tools(tmp_path):
    """A folder with a train.py that does what the test writes into it."""
    folder = tmp_path / 'tools'
    folder.mkdir()
    return folder


def cell(tmp_path, tools, script='', **options):
    (tools / 'train.py').write_text(script)
    return Cell(CONFIG, 0, tmp_path / 'all', tools, method='scratch', **options)


def test_a_config_is_read_with_all_options(folder, tools):
    text = (folder / 'my_images.py').read_text()
    (folder / 'my_images.py').write_text(text.replace("root='", "root='absent/"))
    options = {'own_images.root': f'{folder}/my_images', 'model.teacher.checkpoint': 'random'}
    for method in ('kd', 'scratch'):
        found = Cell(folder / 'my_images.py', 0, folder / 'all', tools, options, method=method)
        assert found.state['reason'] == '' and 'own_images.root' in found.options
    assert 'model.teacher.checkpoint' not in found.options
    with pytest.raises(UserError, match='--cfg-options: own_images.root: expected own_images in the config'):
        load_config(str(CONFIG), {'own_images.root': 'x'})


def test_the_reason_is_of_this_attempt_and_names_the_error_of_a_process(tmp_path, tools):
    lines = [
        "[rank0]: KeyError: 'depth 19'",
        'torch.distributed.ChildFailedError: ',
        'E1121 ChildFailedError',
    ]
    first = cell(tmp_path, tools, f'print({chr(10).join(lines)!r}); raise SystemExit(1)')
    first.run(Event())
    assert first.state['status'] == 'crashed' and first.state['reason'] == "KeyError: 'depth 19'"
    again = cell(tmp_path, tools, 'import os; os.kill(os.getpid(), 9)')
    again.run(Event())
    assert again.state['reason'].startswith('exit status -9; see ')


@pytest.mark.parametrize(
    'text', ['1', '0.5', 'None', 'True', 'a/b', '[1,2]', '[]', '(1,2)', '(1)', '[(1,a),[2,[b]]]']
)
def test_a_run_gets_the_options_as_they_were_read(text, tmp_path, tools):
    def read(*texts):
        parser = argparse.ArgumentParser()
        parser.add_argument('--cfg-options', nargs='+', action=Options)
        return parser.parse_args(['--cfg-options', *texts]).cfg_options

    options = read(f'visualizer.save_dir={text}')
    command = cell(tmp_path, tools, options=options)._command()
    given = read(*command[command.index('--cfg-options') + 1 :])
    assert given == dict(options, **{'randomness.seed': 0})


def test_a_cell_that_another_comparison_has_finished_is_not_run_again(tmp_path, tools):
    first, second = (cell(tmp_path, tools, 'print(1)') for _ in range(2))
    first.run(Event())
    seconds = first.state['seconds']
    second.run(Event())
    assert second.state['status'] == 'done' and second.state['seconds'] == seconds
    assert (first.folder / 'output.log').read_text() == '1\n'


def test_what_cannot_be_written_is_a_crash_and_what_cannot_be_read_is_named(tmp_path, tools):
    one = cell(tmp_path, tools)
    one.folder.parent.mkdir(parents=True)
    one.folder.touch()
    one.run(Event())
    assert one.state['status'] == 'crashed' and 'FileExistsError' in one.state['reason']
    one.folder.unlink()
    one.folder.mkdir()
    for text in ('', '[]', '{"status": "do'):
        (one.folder / 'cell.json').write_text(text)
        damaged = cell(tmp_path, tools)
        assert damaged.is_settled and damaged.result().status == 'crashed'
        assert re.search('cell.json: expected the state of a run.*delete', damaged.result().reason)


@pytest.mark.parametrize('text', ['', '[]', '{"metrics": {"1"', '{"metrics": []}'])
def test_a_damaged_record_ends_no_comparison(text, tmp_path, tools):
    one = cell(tmp_path, tools, 'print(1)')
    one.run(Event())
    (one.folder / 'results.json').write_text(text)
    found = one.result()
    assert found.status == 'crashed' and 'results.json: expected the record of a run' in found.reason


def test_a_teacher_that_was_not_measured_has_no_value(tmp_path, tools):
    one = cell(tmp_path, tools, 'print(1)')
    one.run(Event())
    metrics = {'1': {'accuracy/top1': 50.0, 'teacher/top1': float('nan')}}
    record = dict(metrics=metrics, teachers=[dict(digest='ab')])
    (one.folder / 'results.json').write_text(json.dumps(record))
    found = one.result()
    assert (found.last, found.teacher, found.taught_by) == (50.0, None, ('ab',))


def test_a_run_sees_the_gpus_it_is_given(tmp_path, tools):
    one = cell(tmp_path, tools, 'import os; print(os.environ["CUDA_VISIBLE_DEVICES"])')
    one.run(Event(), '5')
    assert (one.folder / 'output.log').read_text() == '5\n'
    none = cell(
        tmp_path / 'none', tools, 'import os; print(repr(os.environ["CUDA_VISIBLE_DEVICES"]))', gpus=0
    )
    none.run(Event())  # in a job of slurm nobody names devices
    assert (none.folder / 'output.log').read_text() == "''\n"


def test_the_number_of_processes_belongs_to_the_settings(tmp_path, tools):
    cell(tmp_path, tools, 'print(1)').run(Event())
    assert cell(tmp_path, tools).is_settled
    with pytest.raises(UserError, match='got one of other settings'):
        cell(tmp_path, tools, gpus=2)


def test_a_loop_of_iterations_is_refused(tmp_path, tools):
    config = tmp_path / 'by_iter.py'
    config.write_text(
        f"_base_ = ['{CONFIG}']\ntrain_cfg = dict(_delete_=True, by_epoch=False, max_iters=3)\n"
    )
    one = Cell(config, 0, tmp_path, tools)
    assert one.is_settled and 'train_cfg: expected max_epochs' in one.state['reason']


def test_a_killed_comparison_still_knows_the_time(tmp_path, tools, monkeypatch):
    monkeypatch.setattr('hetkd.apis.cell.SAVE_EVERY', 0.1)
    one = cell(tmp_path, tools, 'import time; time.sleep(1.5)')
    seen = []
    save = one._save
    monkeypatch.setattr(one, '_save', lambda **state: (seen.append(state.get('seconds')), save(**state)))
    one.run(Event())
    assert sum(x is not None and 0.1 < x < 1.5 for x in seen) >= 2
    assert json.loads((one.folder / 'cell.json').read_text())['seconds'] > 1.5


def test_the_end_is_asked_for_once(tmp_path, tools):
    """A second SIGTERM would break torchrun's own end, and leave its processes behind."""
    script = """
import signal, time
count = [0]
def note(*_): count[0] += 1
signal.signal(signal.SIGTERM, note)
print('ready', flush=True)
while not count[0]: time.sleep(0.05)
time.sleep(1.5)
print('asked', count[0], flush=True)
"""
    one, stop = cell(tmp_path, tools, script), Event()
    thread = Thread(target=one.run, args=(stop,))
    thread.start()
    log = one.folder / 'output.log'
    while not log.exists() or 'ready' not in log.read_text():
        assert thread.is_alive()
        time.sleep(0.05)
    stop.set()
    thread.join()
    assert log.read_text() == 'ready\nasked 1\n' and one.state['reason'] == 'interrupted'


def test_each_run_of_several_processes_has_a_port_of_its_own(tmp_path, tools, monkeypatch):
    monkeypatch.setenv('PORT', '1')
    monkeypatch.setenv('OMP_NUM_THREADS', '3')
    first, second = (cell(tmp_path / x, tools, gpus=2)._env() for x in 'ab')
    assert len({first['PORT'], second['PORT'], '1'}) == 3
    assert first['OMP_NUM_THREADS'] == '3' and first['PYTHON'] == sys.executable
