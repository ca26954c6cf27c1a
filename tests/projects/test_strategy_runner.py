"""The runner with a strategy, in one process."""

import pytest
import torch
from hetkd_fsdp import FullyShardStrategy, StrategyRunner
from torch.distributed.tensor import DTensor

from hetkd.apis import load_config
from hetkd.apis.launch import build_runner
from hetkd.errors import UserError
from tests.conftest import ROOT

FSDP = {'runner_type': 'StrategyRunner', 'strategy.type': 'FullyShardStrategy'}


@pytest.fixture
def config(tmp_path):
    """CRD's config of the digits with a strategy, cut down."""

    def make(launcher='pytorch', **more):
        options = {
            'model.teacher.checkpoint': 'random',
            'model.losses.0.num_negatives': 8,
            'train_cfg.max_epochs': 1,
            'train_dataloader.num_workers': 0,
            'default_hooks.checkpoint.interval': 1,
            'default_hooks.checkpoint.save_best': None,
            **FSDP,
            **more,
        }
        cfg = load_config(str(ROOT / 'configs/mldrkd/vit-micro_cnn-micro_digits.py'), options, 'crd')
        cfg.work_dir, cfg.launcher = str(tmp_path), launcher
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        cfg.train_dataloader.update(persistent_workers=False, collate_fn=dict(type='default_collate'))
        return cfg

    return make


@pytest.fixture
def one_process(monkeypatch):
    """What torchrun sets for a single process."""
    variables = dict(RANK='0', LOCAL_RANK='0', WORLD_SIZE='1', MASTER_ADDR='127.0.0.1', MASTER_PORT='29643')
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    yield
    torch.distributed.destroy_process_group()


def test_the_banks_that_a_hook_sizes_come_back_from_a_checkpoint(config, one_process, tmp_path):
    first = build_runner(config())
    assert isinstance(first, StrategyRunner) and isinstance(first.strategy, FullyShardStrategy)
    first.train()
    assert all(isinstance(p, DTensor) for p in first.model.parameters())
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)['state_dict']
    second = build_runner(config(resume=True, experiment_name='second'))
    second.train()
    banks = {k: v for k, v in second.model.state_dict().items() if k.endswith('_memory')}
    assert second.epoch == 1 and len(banks) == 2
    for name, value in banks.items():
        assert torch.equal(value, saved[name]), name


def test_what_the_libraries_say_goes_to_the_log_file_alone(config, one_process, tmp_path, capfd):
    build_runner(config(experiment_name='quiet')).logger.info('my words')
    (log,) = tmp_path.glob('*/*.log')
    terminal, written = ''.join(capfd.readouterr()), log.read_text()
    assert ('my words' in terminal, 'my words' in written) == (True, True)
    assert ('System environment' in terminal, 'System environment' in written) == (False, True)


def test_a_class_that_no_block_has_is_refused(config, one_process):
    with pytest.raises(UserError, match=r"blocks to name classes of.*'BasicBlock'.*got \['Bloc'\]"):
        build_runner(config(**{'strategy.blocks': ['Bloc']})).train()


def test_a_single_process_is_refused(config):
    with pytest.raises(UserError, match='expected several processes.*tools/dist_train.sh'):
        build_runner(config(launcher='none'))


@pytest.mark.parametrize('key', ['sync_bn', 'model_wrapper_cfg', 'compile'])
def test_a_key_that_only_the_other_runner_reads_is_refused(key, config):
    with pytest.raises(UserError, match=f'expected none of .*{key}'):
        build_runner(config(**{key: 'torch'}))


def test_an_option_of_another_strategy_is_refused(config):
    with pytest.raises(UserError, match='expected blocks and sync_bn.*model_wrapper'):
        build_runner(config(**{'strategy.model_wrapper.type': 'X'}))


@pytest.mark.parametrize(
    'hook', [{'student_ema.type': 'StudentEMAHook'}, {'gradient_cosine.interval': 1}], ids=str
)
def test_a_hook_that_needs_the_whole_student_is_refused(hook, config, one_process):
    options = {f'default_hooks.{key}': value for key, value in hook.items()}
    with pytest.raises(UserError, match='Hook: expected a student that is whole.*leave out the hook'):
        build_runner(config(**options))
