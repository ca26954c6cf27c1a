"""tools/benchmarks/input.py."""

import json


def test_it_measures_both_forms_and_says_which_images(run_tool, tmp_path):
    """Without CIFAR-100, images are made up."""
    absent = tmp_path / 'absent'
    for form, root in (('_per_image', 'data_root'), ('', 'dataset.data_root')):
        out = tmp_path / 'out.json'
        options = [
            '--cfg-options',
            f'train_dataloader.dataset.{root}={absent}',
            'train_dataloader.batch_size=8',
        ]
        options += ['train_dataloader.num_workers=0', '--rounds', 1, '--batches', 1, '--out', out]
        done = run_tool(
            'benchmarks/input.py',
            f'configs/_base_/datasets/cifar100_224{form}.py',
            '--step-seconds',
            0.5,
            *options,
        )
        report = json.loads(out.read_text())
        usual, row = report['rows']
        assert row['images'] == 'made-up images' and row['per_second'] > 0 and row['ratio'] > 0
        assert usual['input'].startswith('torchvision') and usual['ratio'] == 1
        assert 'CIFAR100 is not there' in done.stderr
        assert 'A step of 0.5 s and 8 images needs 16/s.' in done.stdout
        assert report['step_images_per_second'] == 16
    assert not absent.exists(), 'nothing was fetched'
