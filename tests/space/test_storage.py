"""The room for uploads, counted."""

from hybridsent_space.storage import Storage


def test_room_is_found_again_once_gradio_has_emptied_the_folder(tmp_path):
    storage = Storage(tmp_path, 1000)
    assert storage.add(990)
    assert not storage.add(50)
    storage._walked = -100.0  # the folder was last looked at long ago
    assert storage.has_room(50)  # nothing lies on the disk
    assert storage.add(50)
