"""On a GPU no step waits, nothing mixes devices, and deterministic mode refuses nothing."""

import json
import os
import subprocess
import sys

import pytest

from . import cases

# What may make the host wait between steps: (kind, part of the place), and why.
ALLOWED = {
    ('sync', 'torch/amp/grad_scaler.py'): 'float16: the scaler looks for overflows before it takes a step',
    (
        'sync',
        'distillers/labels.py',
    ): 'unlabelled images that are mixed: which have a label is known there alone',
}
FAULTS = {
    'the hub reads each step': ('read', 'hetkd/engine/message_hub.py'),
    'memory that is not pinned': ('copy from memory that is not pinned', 'preprocessors/seeded.py'),
    'copies that wait': ('blocking copy', 'mmpretrain/models/utils'),
    'item in a loss': ('sync', 'tests/pretended_gpu/cases.py'),
    'a mask in a loss': ('sync', 'tests/pretended_gpu/cases.py'),
}
REFUSED = {
    'an index on the CPU': 'DeviceMixing',
    'a constant on the CPU': 'DeviceMixing',
    'not deterministic': 'NotDeterministic',
    'no workspace of cuBLAS': 'NotDeterministic',
}
NAMES = [name for name in cases.cases(cases.ROOT) if not name.startswith('fault')]


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    """Of all cases, run in a process of their own, since they change torch."""
    out = tmp_path_factory.mktemp('pretended') / 'results.json'
    env = {**os.environ, 'PYTHONPATH': str(cases.ROOT), 'OMP_NUM_THREADS': '1'}
    env.pop('CUBLAS_WORKSPACE_CONFIG', None)  # of a deterministic run in this process
    command = [sys.executable, '-m', 'tests.pretended_gpu.cases', str(out)]
    done = subprocess.run(command, cwd=cases.ROOT, env=env, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(out.read_text())


@pytest.mark.parametrize('name', NAMES)
def test_no_step_waits_or_mixes_devices(name, results):
    assert results[name]['error'] is None, results[name]['error']
    unexpected = [x for x in results[name]['events'] if not any(_is(x, *known) for known in ALLOWED)]
    assert unexpected == []


def test_what_is_allowed_happens(results):
    seen = [event for name in NAMES for event in results[name]['events']]
    assert [known for known in ALLOWED if not any(_is(event, *known) for event in seen)] == []
    assert not [name for name in NAMES if 'bfloat16' in name and results[name]['events']]


@pytest.mark.parametrize('name', FAULTS)
def test_a_wait_is_seen_where_it_is(name, results):
    found = results[f'fault: {name}']
    assert found['error'] is None, found['error']
    assert any(_is(event, *FAULTS[name]) for event in found['events']), found['events']


def test_an_index_on_the_cpu_is_seen(results):
    events = results['fault: copies that wait']['events']
    assert any('with an index on the CPU' in operation for _, operation, _ in events), events


@pytest.mark.parametrize('name', REFUSED)
def test_what_cuda_refuses_is_refused(name, results):
    assert REFUSED[name] in results[f'fault: {name}']['error']


def _is(event, kind, place):
    return event[0] == kind and place in event[2]
