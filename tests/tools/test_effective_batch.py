"""Processes and accumulated gradients: the same images in a step, the same gradient."""

import torch

from tests.conftest import ROOT, free_port

CONFIG = 'configs/mldrkd/vit-micro_cnn-micro_digits.py'
VIT = (
    "{'type':'TimmNet','model':'vit_tiny_patch16_224','num_classes':10,'model_kwargs':"
    "{'img_size':16,'patch_size':4,'embed_dim':24,'depth':2,'num_heads':2}}"
)


def test_two_processes_and_two_accumulated_batches_take_the_same_steps(tmp_path, run_tool, tiny_teacher):
    """Without batch norm (whose statistics are of a local batch), up to the order of summing."""
    (tmp_path / 'config.py').write_text(f"""
_base_ = ['{ROOT / CONFIG}']
model = dict(student=dict(_delete_=True, **{VIT}), teacher=dict(checkpoint='{tiny_teacher}'))
train_dataloader = dict(batch_size=8, dataset=dict(per_class=32))
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.05))
param_scheduler = None
train_cfg = dict(max_epochs=2, val_interval=2)
default_hooks = dict(checkpoint=dict(interval=1))
""")
    args = ['--method', 'kd', '--no-validate', '--work-dir']
    env = dict(PORT=free_port())
    config = tmp_path / 'config.py'
    run_tool('dist_train.sh', config, 2, *args, tmp_path / 'two', env=env)
    options = ['--cfg-options', 'optim_wrapper.accumulative_counts=2']
    run_tool('train.py', config, *args, tmp_path / 'one', *options)
    run_tool('train.py', config, *args, tmp_path / 'other')  # steps of half the size
    two, one, other = (
        torch.load(tmp_path / x / 'epoch_2.pth', weights_only=False)['state_dict']
        for x in ('two', 'one', 'other')
    )
    distance = {k: (two[k] - one[k]).abs().max() for k in two}
    assert max(distance.values()) < 1e-5
    assert max((two[k] - other[k]).abs().max() for k in two) > 1e-3
