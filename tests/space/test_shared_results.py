"""Shared results: found by their key alone, few, and never a file of somebody else."""

from hybridsent_space.shared_results import SharedResults


def test_a_result_is_found_by_its_key_only(tmp_path):
    shared = SharedResults(tmp_path / "shared", most=5)
    keys = [shared.keep({"answer": i}) for i in range(3)]
    assert [shared.find(key) for key in keys] == [{"answer": i} for i in range(3)]
    (tmp_path / "secret.json").write_text("{}")
    for key in ("", "x", "../secret", keys[0][:-1], keys[0] + "x", "*", "\ud800"):
        assert shared.find(key) is None


def test_the_oldest_goes_first(tmp_path):
    shared = SharedResults(tmp_path / "shared", most=2)
    keys = [shared.keep({"answer": i}) for i in range(4)]
    assert [shared.find(key) is not None for key in keys] == [False, False, True, True]
    assert len(list((tmp_path / "shared").iterdir())) == 2
