"""Digests of weight files by their names."""

import torch

from hetkd.utils.digest import file_digest
from hetkd.utils.weight_file import named_digest, read_file


def test_a_name_means_the_file_that_would_be_read(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    (tmp_path / 'a.pth').write_bytes(b'weights')
    digest = file_digest(tmp_path / 'a.pth')
    assert named_digest(str(tmp_path / 'a.pth')) == named_digest('~/a.pth') == digest
    assert named_digest('nowhere.pth') is None and named_digest('random') is None
    assert named_digest(f'nowhere.pth#sha256={"A" * 64}') == 'a' * 64


def test_an_address_means_the_file_that_was_loaded_from_it(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    url = 'https://example.org/a.pth'
    assert named_digest(url) is None
    (tmp_path / 'checkpoints').mkdir()
    monkeypatch.setattr(torch.hub, 'download_url_to_file', lambda _, path: torch.save({}, path))
    read_file(url)
    (file,) = (tmp_path / 'checkpoints').iterdir()
    assert named_digest(url) == file_digest(file)
