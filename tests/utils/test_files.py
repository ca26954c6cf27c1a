import hashlib
from pathlib import Path

import pytest

from hetkd.utils.digest import file_digest
from hetkd.utils.whole_file import write_whole, written_whole


def test_a_file_is_replaced_at_the_end_and_not_before(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('old')
    with written_whole(path) as file:
        file.write(b'new')
        assert Path(file.name).parent == tmp_path and path.read_text() == 'old'
    assert path.read_text() == 'new' and list(tmp_path.iterdir()) == [path]
    write_whole(str(path), 'newer')
    assert path.read_text() == 'newer' and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('error', [OSError, KeyboardInterrupt])
def test_what_fails_on_the_way_leaves_the_old_file_and_no_other(error, tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('old')
    with pytest.raises(error), written_whole(path) as file:
        file.write(b'ne')
        raise error
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]


def test_a_link_under_the_name_of_the_temporary_file_is_not_written_through(tmp_path):
    target, path = tmp_path / 'target', tmp_path / 'a.json'
    target.write_text('precious')
    with written_whole(path) as file:
        part = Path(file.name)
    part.symlink_to(target)
    write_whole(path, 'new')
    assert target.read_text() == 'precious' and path.read_text() == 'new' and not path.is_symlink()


def test_a_file_is_known_by_its_content(tmp_path):
    path = tmp_path / 'a'
    path.write_bytes(b'content')
    assert file_digest(path) == hashlib.sha256(b'content').hexdigest()
