"""Training with views of whole batches."""

import torch

VIEWS = {
    'train_dataloader.dataset': dict(
        _delete_=True, type='InMemory', dataset=dict(type='Digits', per_class=5)
    ),
    'data_preprocessor': dict(
        type='BatchViewPreprocessor',
        train_view=dict(type='BatchRandomResizedCrop', scale=16, crop_ratio_range=(0.5, 1.0)),
        test_view=dict(type='BatchResizeCentreCrop', resize=16, crop=16),
    ),
}
TEST = dict(_delete_=True, type='InMemory', dataset=dict(type='Digits', split='test'))
VIEWS |= {f'{split}_dataloader.dataset': TEST for split in ('val', 'test')}


def weights(runner):
    return {key: value.clone() for key, value in runner.model.state_dict().items()}


def test_a_run_that_was_broken_off_ends_as_an_unbroken_one(runner_of, tmp_path):
    runner = runner_of(work_dir=tmp_path / 'whole', **VIEWS)
    assert type(runner.model.data_preprocessor).__name__ == 'BatchViewPreprocessor'
    runner.train()
    whole = weights(runner)
    assert all(value.isfinite().all() for value in whole.values())
    assert 'accuracy/top1' in runner.test()
    runner_of(work_dir=tmp_path / 'broken', **{**VIEWS, 'train_cfg.max_epochs': 1}).train()
    longer = dict(VIEWS, resume_options=dict(apply_changes=True))
    runner = runner_of(work_dir=tmp_path / 'broken', resume=True, **longer)
    runner.train()
    resumed = weights(runner)
    assert runner.epoch == 2 and whole.keys() == resumed.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
