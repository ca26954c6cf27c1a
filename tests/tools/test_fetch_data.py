"""tools/misc/fetch_data.py."""

import pytest
from PIL import Image

from hetkd.errors import UserError
from tests.conftest import ROOT, tool_main

CONFIG = f'{ROOT}/configs/_base_/datasets/{{}}.py'


@pytest.fixture(scope='module')
def main():
    """Run the tool in this process."""
    return tool_main('misc/fetch_data.py')


def roots(root):
    return [f'{split}_dataloader.dataset.data_root={root}' for split in ('train', 'val', 'test')]


def image_folder(root):
    for split in ('train', 'val'):
        for name in ('cat', 'dog'):
            (root / split / name).mkdir(parents=True)
            for number in range(3):
                Image.new('RGB', (64, 64)).save(root / split / name / f'{number}.jpg')


def test_it_counts_what_is_there(run_tool):
    printed = run_tool('misc/fetch_data.py', 'configs/mldrkd/vit-micro_cnn-micro_digits.py').stdout
    assert 'train_dataloader: Digits, 50 images, 10 classes' in printed
    assert 'test_dataloader: Digits, 600 images, 10 classes' in printed


def test_broken_images_are_listed_and_end_with_an_error(main, tmp_path, capsys):
    image_folder(tmp_path)
    command = [CONFIG.format('custom_224'), '--cfg-options', *roots(tmp_path)]
    main([*command, '--check-images'])
    assert 'train_dataloader: CustomDataset, 6 images, 2 classes' in capsys.readouterr().out
    (tmp_path / 'train/dog/1.jpg').write_bytes(b'no image')
    (tmp_path / 'val/cat/0.jpg').write_bytes((tmp_path / 'val/cat/0.jpg').read_bytes()[:-50])
    main(command)  # images are decoded only with --check-images
    with pytest.raises(SystemExit) as stop:
        main([*command, '--check-images'])
    first, second, last = str(stop.value).splitlines()
    assert first.startswith(
        f'{tmp_path}/train/dog/1.jpg: expected a whole image, got one that cannot be read (cannot'
    )
    assert second.startswith(
        f'{tmp_path}/val/cat/0.jpg: expected a whole image, got one that cannot be read (image'
    )
    assert last.startswith('2 problem'), 'the test set is that of validation and counts once'


def test_what_is_held_in_memory_is_counted_and_decoded_as_files(main, tmp_path, capsys):
    image_folder(tmp_path)
    path = tmp_path / 'config.py'
    lines = [
        f"{split}_dataloader = dict(dataset=dict(type='InMemory', dataset=dict(type='CustomDataset', "
        f"data_root={str(tmp_path)!r}, data_prefix='{split}')))"
        for split in ('train', 'val')
    ]
    path.write_text('\n'.join(lines))
    main([str(path)])
    assert 'train_dataloader: CustomDataset, 6 images, 2 classes' in capsys.readouterr().out
    (tmp_path / 'val/cat/0.jpg').write_bytes(b'no image')
    with pytest.raises(SystemExit, match='val/cat/0.jpg: expected a whole image'):
        main([str(path), '--check-images'])


def test_a_data_set_that_is_not_whole_is_an_error(main, tmp_path):
    (tmp_path / 'data').mkdir()
    for split in ('trainval', 'test'):
        (tmp_path / f'data/images_variant_{split}.txt').write_text('0000001 Yak-42\n')
    with pytest.raises(SystemExit, match='trainval: expected 6,667 images of 100 classes, got 1 of 100'):
        main([CONFIG.format('aircraft_224'), '--cfg-options', *roots(tmp_path)])


@pytest.mark.parametrize(
    'name, type_',
    [('cub', 'CUB'), ('aircraft', 'FGVCAircraft'), ('imagenet', 'ImageNet'), ('custom', 'CustomDataset')],
)
def test_an_absent_data_set_ends_with_what_to_do(name, type_, main, tmp_path):
    expected = f'^{type_}: expected its files in {tmp_path}, got .*; docs/en/data.md says where'
    with pytest.raises(UserError, match=expected):
        main([CONFIG.format(f'{name}_224'), '--cfg-options', *roots(tmp_path)])


def test_absent_parts_of_wrapped_data_sets_are_named(main, tmp_path):
    part = dict(type='CustomDataset', data_root=str(tmp_path / 'a'))
    other = dict(type='RepeatDataset', times=2, dataset=dict(part, data_root=str(tmp_path / 'b')))
    whole = dict(_delete_=True, type='ConcatDataset', datasets=[part, other])
    (tmp_path / 'own.py').write_text(
        f"_base_ = ['{CONFIG.format('custom_224')}']\ntrain_dataloader = dict(dataset={whole})\n"
    )
    with pytest.raises(UserError, match=f'^CustomDataset: expected its files in {tmp_path}/a, {tmp_path}/b'):
        main([str(tmp_path / 'own.py')])


def test_a_message_of_the_tool_is_all_that_is_printed_and_the_exit_code_is_1(run_tool, tmp_path):
    command = ['misc/fetch_data.py', CONFIG.format('aircraft_224'), '--cfg-options', *roots(tmp_path)]
    done = run_tool(*command, check=False)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
