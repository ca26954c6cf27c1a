"""Mistakes in a config: the error has the path of the key, what was expected, and the nearest known name."""

import pytest

from hetkd.apis import load_config
from hetkd.errors import UserError
from tests.conftest import ROOT

CELL = ROOT / 'configs/mldrkd/vit-micro_cnn-micro_digits.py'
NAN = float('nan')

# Options put on the cell with KD, and what the error says.
MISTAKES = [
    # names of types
    (
        {'optim_wrapper.optimizer.type': 'Adamw'},
        'optim_wrapper.optimizer.type: expected .*optimizer, got .Adamw.; nearest: Adam',
    ),
    (
        {'model.student.type': 'TimNet'},
        'model.student.type: expected the name of a registered model.*nearest: TimmNet',
    ),
    (
        {'model.losses': [dict(type='KDLos')]},
        r"model.losses\[0\].type: expected .*got 'KDLos'; nearest: KDLoss",
    ),
    ({'model.type': 'LogitDistiler'}, 'model.type: .*nearest: LogitDistiller'),
    ({'custom_hooks': [dict(type='EMAHok')]}, r'custom_hooks\[0\].type: .*nearest: EMAHook'),
    (
        {'custom_hooks': [dict(type='Unknwon')]},
        r"custom_hooks\[0\].type: .*got 'Unknwon'; known: CheckpointHook",
    ),
    ({'param_scheduler': [dict(type='CosineLR')]}, r'param_scheduler\[0\].type: .*parameter scheduler'),
    ({'train_dataloader.dataset.type': 'Digit'}, 'train_dataloader.dataset.type: .*nearest: Digits'),
    ({'train_dataloader.sampler.type': 'DefaultSampelr'}, 'train_dataloader.sampler.type: .*DefaultSampler'),
    (
        {'train_dataloader.dataset.pipeline': [dict(type='PackInput')]},
        r'pipeline\[0\].type: .*nearest: PackInputs',
    ),
    ({'val_evaluator': [dict(type='Acuracy')]}, r'val_evaluator\[0\].type: .*nearest: Accuracy'),
    (
        {'visualizer.vis_backends': [dict(type='LocalVis')]},
        r'vis_backends\[0\].type: .*nearest: LocalVisBackend',
    ),
    ({'train_cfg.type': 'EpochLoop'}, 'train_cfg.type: expected the name of a registered loop'),
    ({'model.train_cfg': dict(augments=[dict(type='MixUp')])}, r'augments\[0\].type: .*nearest: Mixup'),
    ({'data_preprocessor.type': 'SeededPreproc'}, 'data_preprocessor.type: .*nearest: SeededPreprocessor'),
    # a name in place of a dict
    ({'train_dataloader.sampler': 'DefaultSampler'}, 'train_dataloader.sampler: expected .*dict.*, got .Def'),
    ({'val_dataloader.dataset': 'Digits'}, "val_dataloader.dataset: expected .*dict.*, got 'Digits'"),
    ({'optim_wrapper.optimizer': 'AdamW'}, "optim_wrapper.optimizer: expected .*dict.*, got 'AdamW'"),
    ({'data_preprocessor': 'SeededPreprocessor'}, "data_preprocessor: expected .*dict.*, got 'SeededP"),
    # keys
    ({'default_hooks.chekpoint': dict(interval=1)}, 'default_hooks.chekpoint: .*nearest: checkpoint'),
    (
        {'default_hooks.chekpoint': dict(type='CheckpointHook')},
        'default_hooks.chekpoint: .*nearest: checkpoint',
    ),
    ({'default_hooks.teacher_chek': None}, 'default_hooks.teacher_chek: .*nearest: teacher_check'),
    (
        {'default_hooks.logger.intervall': 1},
        'default_hooks.logger.intervall: expected a key of LoggerHook.*nearest: interval',
    ),
    ({'default_hooks.loss_guard.intreval': 1}, 'default_hooks.loss_guard.intreval: .*nearest: interval'),
    (
        {'train_dataloader.dataset.splti': 'x'},
        'train_dataloader.dataset.splti: expected a key of Digits.*nearest: split',
    ),
    ({'train_dataloader.batchsize': 3}, 'train_dataloader.batchsize: .*nearest: batch_size'),
    ({'train_cfg.max_epoch': 3}, 'train_cfg.max_epoch: .*nearest: max_epochs'),
    ({'optim_wrapper.clip_gard': dict(max_norm=1)}, 'optim_wrapper.clip_gard: .*nearest: clip_grad'),
    ({'optim_wrapper.optimizer.weight_deacy': 0.1}, 'optimizer.weight_deacy: .*nearest: weight_decay'),
    (
        {'param_scheduler': [dict(type='CosineAnnealingLR', T_maxx=3)]},
        r'param_scheduler\[0\].T_maxx: .*nearest: T_max',
    ),
    ({'randomness.sed': 1}, 'randomness.sed: .*nearest: seed'),
    ({'env_cfg.cudnn_bench': True}, 'env_cfg.cudnn_bench: .*nearest: cudnn_benchmark'),
    ({'model.los': []}, 'model.los: expected a key of LogitDistiller.*nearest: losses'),
    (
        {'model.label_loss': dict(type='CrossEntropyLoss', loss_wight=3)},
        'model.label_loss.loss_wight: .*nearest: loss_weight',
    ),
    (
        {'model.losses': [dict(type='KDLoss', tempreature=2)]},
        r'model.losses\[0\].tempreature: .*nearest: temperature',
    ),
    ({'resume_options': dict(aply_changes=True)}, 'resume_options.aply_changes: .*nearest: apply_changes'),
    ({'auto_scale_lr': dict(base_batch=64)}, 'auto_scale_lr.base_batch: .*nearest: base_batch_size'),
    ({'modle.student': 1}, "got 'modle'; did you mean 'model'"),
    ({'student': None}, "got 'student'; set model.student"),
    # values
    (
        {'model.losses': [dict(type='KDLoss', temperature='4')]},
        r"losses\[0\].temperature: expected a number, got '4'",
    ),
    (
        {'model.losses': [dict(type='KDLoss', temperature=True)]},
        r'losses\[0\].temperature: expected a number, got True',
    ),
    ({'model.losses': [dict(type='DKDLoss', beta=float('inf'))]}, r'\[0\].beta: expected a finite number'),
    ({'model.losses': [dict(type='DISTLoss', gamma=-1)]}, r'\[0\].gamma: expected a number >= 0, got -1'),
    ({'model.losses': [dict(type='DFRALoss', alpha='2')]}, r"\[0\].alpha: expected a number, got '2'"),
    ({'model.losses': [dict(type='CCLoss', gamma=0)]}, r'\[0\].gamma: expected a number > 0, got 0'),
    ({'model.losses': [dict(type='CCLoss', order=0)]}, r'\[0\].order: expected a number >= 1, got 0'),
    ({'model.losses': [dict(type='CCLoss', order=1.5)]}, r'\[0\].order: expected a whole number'),
    (
        {'model.losses': [dict(type='KDLoss', temperature=1e30)]},
        r'losses\[0\].temperature: expected a number <= 1e\+06, got 1e\+30',
    ),
    (
        {'model.losses': [dict(type='KDLoss', temperature=0)]},
        r'losses\[0\].temperature: expected a number > 0, got 0',
    ),
    ({'model.losses': [dict(type='KDLoss', loss_weight=None)]}, 'loss_weight: expected a number, got None'),
    ({'model.losses': [dict(type='KDLoss', loss_weight='1')]}, "loss_weight: expected a number, got '1'"),
    ({'model.losses': [dict(type='KDLoss', loss_weight=-1)]}, 'loss_weight: expected a number >= 0, got -1'),
    (
        {'model.losses': [dict(type='KDLoss', loss_weight=float('inf'))]},
        'loss_weight: expected a finite number, got inf',
    ),
    (
        {'model.losses': [dict(type='KDLoss', loss_weight=NAN)]},
        'loss_weight: expected a finite number, got nan',
    ),
    (
        {'model.losses': [dict(type='KDLoss', standardise='no')]},
        "standardise: expected True or False, got 'no'",
    ),
    ({'model.teacher.weight': '2'}, "model.teacher.weight: expected a number, got '2'"),
    ({'model.teacher.weight': NAN}, 'model.teacher.weight: expected a finite number, got nan'),
    ({'model.teacher.channels_last': 'yes'}, 'model.teacher.channels_last: expected True or False'),
    ({'model.student': None}, 'model.student: expected a dict, got None'),
    ({'model.student.num_classes': 2.5}, 'model.student.num_classes: expected a whole number'),
    ({'model.student.input_size': 'large'}, "model.student.input_size: expected .*got 'large'"),
    (
        {'default_hooks.teacher_check.images': -5},
        'default_hooks.teacher_check.images: expected a number >= 0, got -5',
    ),
    (
        {'default_hooks.loss_guard.interval': 'x'},
        "default_hooks.loss_guard.interval: expected a whole number, got 'x'",
    ),
    ({'default_hooks.logger.interval': '10'}, "default_hooks.logger.interval: expected a int.*got '10'"),
    ({'optim_wrapper.optimizer.lr': '0.1'}, "optim_wrapper.optimizer.lr: expected a float.*got '0.1'"),
    ({'optim_wrapper.optimizer.lr': NAN}, 'optim_wrapper.optimizer.lr: expected a number, got NaN'),
    (
        {'optim_wrapper.clip_grad': dict(max_norm=NAN)},
        'optim_wrapper.clip_grad.max_norm: expected a number, got NaN',
    ),
    ({'train_dataloader.batch_size': 0}, 'train_dataloader.batch_size: expected a number >= 1, got 0'),
    ({'train_dataloader.batch_size': '8'}, "train_dataloader.batch_size: expected a whole number, got '8'"),
    ({'train_dataloader.num_workers': -1}, 'train_dataloader.num_workers: expected a number >= 0, got -1'),
    ({'train_dataloader.dataset.per_class': -3}, 'per_class: expected a number >= 1, got -3'),
    ({'train_dataloader.dataset.per_class': 'all'}, "per_class: expected a whole number, got 'all'"),
    ({'randomness.seed': 'x'}, "randomness.seed: expected a whole number, got 'x'"),
    ({'randomness.seed': -1}, 'randomness.seed: expected a number >= 0, got -1'),
    ({'load_from': 3}, 'load_from: expected text, got 3'),
    ({'resume': 'yes'}, "resume: expected True or False, got 'yes'"),
    ({'model': 3}, 'model: expected a dict, got 3'),
    ({'_data.data_root': 'x'}, "keys that take effect, got '_data', a helper variable.*print_config"),
    ({'default_hooks': []}, r'default_hooks: expected a dict, got \[\]'),
    (
        {'optim_wrapper.optimizer': dict(lr=1)},
        'optim_wrapper.optimizer: expected type, the name of a registered optimizer',
    ),
]


@pytest.mark.parametrize(
    'options, words', MISTAKES, ids=[f'{next(iter(x[0]))}-{i}' for i, x in enumerate(MISTAKES)]
)
def test_it_is_named_with_its_path(options, words):
    options = {
        key: dict(x, _delete_=True) if isinstance(x, dict) and key.endswith('optimizer') else x
        for key, x in options.items()
    }
    with pytest.raises(UserError, match=words):
        load_config(CELL, options, 'kd')


FILES = {
    'syntax.py': ('model = dict(\n', 'expected a config that can be read, got SyntaxError'),
    'name.py': ('model = modle\n', "expected a config that can be read, got NameError: name 'modle'"),
    'fault.py': ('x = 1 / 0\n', 'got ZeroDivisionError: division by zero'),
    'base.py': ("_base_ = 'nowhere.py'\n", 'expected a config that can be read, got .*nowhere.py'),
    'tag.yaml': (
        'a: !!python/object/apply:os.system ["echo ran"]\n',
        r'YAML: expected plain values .*python/object',
    ),
    'tag.yml': ('a: !!python/name:os.system\n', 'YAML: expected plain values .*python/name'),
    'no.yaml': ('a: [\n', 'YAML: expected plain values'),
    'half.json': ('{"model": ', 'expected a config that can be read, got JSONDecodeError'),
    'config.txt': ('model = 3\n', 'got .*Only py/yml/yaml/json'),
}


@pytest.mark.parametrize('name', FILES)
def test_a_file_that_cannot_be_read_ends_in_a_sentence(name, tmp_path, capfd):
    text, words = FILES[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=words):
        load_config(tmp_path / name)
    assert 'ran' not in capfd.readouterr().out, 'no code of a YAML file runs'


def test_a_yaml_file_of_plain_values_is_read(tmp_path):
    (tmp_path / 'x.yaml').write_text(f'_base_: {CELL}\ntrain_cfg: {{max_epochs: 7}}\n')
    assert load_config(tmp_path / 'x.yaml').train_cfg.max_epochs == 7


OWN = """
from mmengine.hooks import Hook
from hetkd.registry import HOOKS

@HOOKS.register_module()
class OwnHook(Hook):
    def __init__(self, times: int, **kwargs):
        self.times, self.more = times, kwargs
"""


def test_a_class_of_ones_own_is_checked_by_its_own_annotations(tmp_path, monkeypatch):
    (tmp_path / 'own_hook_of_mine.py').write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    config = tmp_path / 'x.py'
    text = f"_base_ = '{CELL}'\ncustom_imports = dict(imports=['own_hook_of_mine'])\n"
    text += "custom_hooks = [dict(type='OwnHook', {})]\n"
    config.write_text(text.format('times=3, anything=4'))
    assert load_config(config).custom_hooks[0].anything == 4
    config.write_text(text.format('times="3"'))
    with pytest.raises(UserError, match=r"custom_hooks\[0\].times: expected a whole number, got '3'"):
        load_config(config)


@pytest.mark.parametrize('name', ['student_lambda', 'teacher_lambda'])
def test_an_infinite_share_of_hcd_is_refused(name):
    with pytest.raises(UserError, match=f'model.{name}: expected a finite number, got inf'):
        load_config(CELL, {f'model.{name}': float('inf')}, 'hcd')
