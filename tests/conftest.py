"""Shared fixtures."""

import gc
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import mmengine
import pytest
import torch
from mmengine.registry import DefaultScope, init_default_scope
from mmpretrain.structures import DataSample

from hetkd.apis.shipped import module_of
from hetkd.clock import own_clock
from tests import preloaded

ROOT = Path(__file__).resolve().parent.parent

# For tiny nets, threads cost more than they save.
torch.set_num_threads(1)
# A runner lays out its config several times; its text is Python without that as well.
mmengine.config.config.FormatCode = lambda text, *args, **kwargs: (text, True)
# A data set of mmengine collects garbage when it is built: not among all that is imported.
gc.freeze()


# Seconds a tool may take in a test, below the limit of a test: so that it can say what hangs.
LIMIT = 240
# Folders and files of whole runs in processes of their own.
LONG = ('tools', 'projects', 'pretended_gpu', 'test_demo.py', 'test_publishing.py')


def pytest_collection_modifyitems(items):
    """Long files first, so that no process is left alone with one at the end."""
    items.sort(key=lambda x: x.path.relative_to(ROOT / 'tests').parts[0] not in LONG)


@pytest.fixture(autouse=True)
def scope():
    """Default scope, as set by a runner, a fixed seed, a clock that is not set, and signals as they were."""
    init_default_scope('hetkd')
    torch.manual_seed(0)
    handlers = {x: signal.getsignal(x) for x in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    with own_clock():
        yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    DefaultScope._instance_dict.clear()


@pytest.fixture
def batch():
    """Four normalised 32 px images and their samples with labels of ten classes."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(4, 3, 32, 32, generator=generator)
    labels = (3, 1, 4, 1)
    return inputs, [DataSample(metainfo=dict(sample_idx=i)).set_gt_label(y) for i, y in enumerate(labels)]


@pytest.fixture
def samples_of():
    """Data samples with predicted scores (N, C) and labels (N,)."""
    return lambda scores, target: [
        DataSample().set_pred_score(score).set_pred_label(score.argmax()).set_gt_label(label)
        for score, label in zip(scores, target)
    ]


def free_port() -> str:
    """A port that nothing listens on."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


def tool_command(name, *args, env=None, new=False):
    """Command and environment to run a file of tools/ as a user would; see :func:`tool_runner`."""
    python = sys.executable if new else preloaded.python()
    environ = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', 'PYTHON': python}
    interpreter = 'bash' if name.endswith('.sh') else python
    return [interpreter, str(ROOT / 'tools' / name), *map(str, args)], {**environ, **(env or {})}


def tool_runner(name, *args, check=True, env=None, new=False):
    """Run a tool to its end; the test fails if the tool does.

    Args:
        name: file in ``tools``.
        *args: its arguments.
        check: whether it must end with status 0.
        env: further environment variables.
        new: start a real interpreter, where its beginning or its end is what is tested. Default: see
            :func:`tests.preloaded.python`.
    """
    command, environ = tool_command(name, *args, env=env, new=new)
    process = subprocess.Popen(
        command, cwd=ROOT, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        out, errors = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGUSR1)  # it writes where it is
        time.sleep(1)
        process.kill()
        out, errors = process.communicate()
        pytest.fail(f'{" ".join(command)} has not ended after {LIMIT} s\n{out[-3000:]}\n{errors[-5000:]}')
    done = subprocess.CompletedProcess(command, process.returncode, out, errors)
    if check and done.returncode:
        pytest.fail(f'{" ".join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}')
    return done


def tool_main(name):
    """The ``main`` of a file of tools/, to be called in this process."""
    return module_of(ROOT / 'tools' / name).main


@pytest.fixture
def run_tool():
    """See :func:`tool_runner`."""
    return tool_runner


@pytest.fixture(scope='session')
def tiny_teacher(tmp_path_factory):
    """Weight file of a teacher for the digits: random, with a head fitted on the training images."""
    from mmengine.config import Config
    from sklearn.linear_model import LogisticRegression

    from hetkd.registry import DATASETS, MODELS

    init_default_scope('hetkd')
    torch.manual_seed(0)
    base = ROOT / 'configs/_base_'
    data = Config.fromfile(base / 'datasets/digits.py')
    teacher = Config.fromfile(base / 'nets/vit-micro.py')._vit_micro
    net = MODELS.build(dict(teacher, num_classes=10, checkpoint='random')).eval()
    dataset = DATASETS.build(dict(type='Digits', pipeline=data._test_pipeline))
    packed = [dataset[i] for i in range(0, len(dataset), 3)]
    preprocessor = MODELS.build(dict(data.data_preprocessor, type='ClsDataPreprocessor'))
    batch = dict(inputs=[x['inputs'] for x in packed], data_samples=[x['data_samples'] for x in packed])
    inputs = preprocessor(batch)['inputs']
    with torch.no_grad():
        embedding = net(inputs, embedding=True).embedding
        head = LogisticRegression(max_iter=300).fit(
            embedding, [int(x['data_samples'].gt_label) for x in packed]
        )
        net.model.head.weight.copy_(torch.from_numpy(head.coef_))
        net.model.head.bias.copy_(torch.from_numpy(head.intercept_))
    path = tmp_path_factory.mktemp('teacher') / 'teacher.pth'
    torch.save(net.model.state_dict(), path)
    return path
