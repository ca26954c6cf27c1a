import hashlib

import pytest

from hetkd.utils.digest import file_digest
from hetkd.utils.whole_file import write_whole, written_whole


def test_a_file_is_replaced_at_the_end_and_not_before(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('old')
    with written_whole(path) as part:
        part.write_text('new')
        assert part.parent == tmp_path and path.read_text() == 'old'
    assert path.read_text() == 'new' and list(tmp_path.iterdir()) == [path]
    write_whole(str(path), 'newer')
    assert path.read_text() == 'newer' and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize('error', [OSError, KeyboardInterrupt])
def test_what_fails_on_the_way_leaves_the_old_file_and_no_other(error, tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('old')
    with pytest.raises(error), written_whole(path) as part:
        part.write_text('ne')
        raise error
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]


def test_a_file_is_known_by_its_content(tmp_path):
    path = tmp_path / 'a'
    path.write_bytes(b'content')
    assert file_digest(path) == hashlib.sha256(b'content').hexdigest()
