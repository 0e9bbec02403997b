"""The benchmark of processes runs the command and reckons ratios; how fast it is, no test says."""

from many_posts import good_posts, save_pictures, write_csv
from tiny_models import save_tiny

from benchmarks.processes import LAUNCHERS, LOOP, as_table, seconds_of

ONE, TWO = LAUNCHERS


def test_the_command_is_run_to_its_end(tmp_path):
    save_tiny(tmp_path / "model")
    (tmp_path / "posts").mkdir()
    save_pictures(tmp_path / "posts")
    table = write_csv(tmp_path / "posts" / "posts.csv", good_posts(6))
    assert seconds_of(LAUNCHERS[TWO], str(tmp_path / "model"), table) > 0


def test_ratios_are_medians_over_rounds():
    table = as_table({ONE: [10.0, 20.0, 30.0], TWO: [30.0, 40.0, 45.0], LOOP: [5.0, 4.0, 10.0]})
    assert table.splitlines()[2:] == [
        f"| {ONE} | 20.0 | 1.00 | 3.00 |",
        f"| {TWO} | 40.0 | 2.00 | 6.00 |",
        f"| {LOOP} | 5.0 | 0.33 | 1.00 |",
    ]
