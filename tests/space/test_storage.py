"""The room for uploads, counted."""

import os
import time

from hybridsent_space.storage import AGE, Storage


def test_room_is_found_again_once_gradio_has_emptied_the_folder(tmp_path):
    storage = Storage(tmp_path, 1000)
    assert storage.add(990)
    assert not storage.add(50)
    storage._walked = -100.0  # the folder was last looked at long ago
    assert storage.has_room(50)  # nothing lies on the disk
    assert storage.add(50)


def test_what_nobody_else_deletes_goes_when_it_is_old(tmp_path):
    """Uploads that were never finished and downloads are tmp*; Gradio deletes its own files."""
    for name in ("tmpupload", "tmpyoung", "photo.png", "tmpdownloads/scored.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * 100)
    for name in ("tmpupload", "photo.png", "tmpdownloads"):
        os.utime(tmp_path / name, (time.time() - AGE - 1,) * 2)
    storage = Storage(tmp_path, 1000)
    storage.clean()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.png", "tmpyoung"]
    assert not storage.add(801)  # what is left counts
    assert storage.add(800)
