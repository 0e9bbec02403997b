"""The benchmark of processes runs the command and reckons ratios; tests do not assert speed."""

from many_posts import good_posts, save_pictures, write_csv
from tiny_models import save_tiny

from benchmarks.processes import LAUNCHERS, seconds_of
from benchmarks.turns import rates_table, take_turns

ONE = next(iter(LAUNCHERS))


def test_the_command_is_run_to_its_end(tmp_path):
    save_tiny(tmp_path / "model")
    (tmp_path / "posts").mkdir()
    save_pictures(tmp_path / "posts")
    table = write_csv(tmp_path / "posts" / "posts.csv", good_posts(6))
    assert seconds_of(LAUNCHERS[ONE], str(tmp_path / "model"), table) > 0


def test_ratios_are_medians_over_rounds():
    rates = {"one": [10.0, 20.0, 30.0], "two": [30.0, 40.0, 45.0], "loop": [5.0, 4.0, 10.0]}
    table = rates_table(rates, {"times one": "one", "times the loop": "loop"})
    assert table.splitlines() == [
        "| way | posts/s | times one | times the loop |",
        "|---|---:|---:|---:|",
        "| one | 20.0 | 1.00 | 3.00 |",
        "| two | 40.0 | 2.00 | 6.00 |",
        "| loop | 5.0 | 0.33 | 1.00 |",
    ]


def test_every_round_begins_with_another_way():
    order = []
    ways = {name: lambda name=name: order.append(name) or float(len(order)) for name in "abc"}
    assert take_turns(ways, rounds=2, warm_up=1) == {"a": [6, 8], "b": [4, 9], "c": [5, 7]}
    assert "".join(order) == "abcbcacab"
