"""An outdated checkpoint goes after the new one is there."""

import pytest
from mmengine.hooks import Hook


class Scores(Hook):
    """Make every validation the best so far."""

    priority = 'VERY_HIGH'

    def after_val_epoch(self, runner, metrics=None):
        metrics['accuracy/top1'] = float(runner.epoch)


def files(folder):
    return {x.name for x in folder.glob('*.pth')}


@pytest.mark.parametrize('kept, expected', [(1, {4}), (2, {3, 4}), (-1, {1, 2, 3, 4})])
def test_so_many_are_kept_and_the_best(kept, expected, runner_of, tmp_path):
    runner = runner_of(
        train_cfg__max_epochs=4,
        default_hooks__checkpoint__interval=1,
        default_hooks__checkpoint__max_keep_ckpts=kept,
    )
    runner.register_hook(Scores())
    runner.train()
    assert files(tmp_path) == {f'epoch_{i}.pth' for i in expected} | {'best_accuracy_top1_epoch_4.pth'}


@pytest.mark.parametrize('broken', ['epoch_3.pth', 'best_accuracy_top1_epoch_3.pth'])
def test_a_failed_write_leaves_the_one_before(broken, runner_of, tmp_path, monkeypatch):
    runner = runner_of(
        train_cfg__max_epochs=3,
        default_hooks__checkpoint__interval=1,
        default_hooks__checkpoint__max_keep_ckpts=1,
    )
    runner.register_hook(Scores())
    save = runner.save_checkpoint

    def fail(out_dir, filename, *args, **kwargs):
        if filename == broken:
            raise KeyboardInterrupt
        save(out_dir, filename, *args, **kwargs)

    monkeypatch.setattr(runner, 'save_checkpoint', fail)
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    kind = broken.replace('3', '2')
    assert kind in files(tmp_path)
