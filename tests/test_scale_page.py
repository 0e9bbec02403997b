"""What docs/scale.md tells people to type runs, and its arithmetic is that of the command it names."""

import re
import sys
from importlib.util import find_spec

import pyarrow.parquet as pq
import pytest
from documented_commands import ROOT, blocks, commands, run
from finished_runs import save_finished_run

from benchmarks.scale import hours
from benchmarks.scale import main as scale
from benchmarks.scoring import main as scoring
from hybridsent.bundled.synthetic import write_posts

TEXT = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
MEASURE, SCALE, ON_RAY = commands(TEXT)
with_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder as `make quickstart` leaves it, on a tiny scale."""
    folder = tmp_path_factory.mktemp("scale")
    save_finished_run(folder / "outputs" / "quickstart")
    sizes = {"train": 6, "validation": 6, "test": 12}
    write_posts(folder / "outputs" / "synthetic-posts", sizes=sizes)
    return folder


def test_the_table_is_what_the_command_prints(capsys):
    assert SCALE[:3] == ["python", "-m", "benchmarks.scale"]
    scale(SCALE[3:])
    assert f"\n{capsys.readouterr().out}" in TEXT


def test_hours_are_posts_by_rate():
    assert hours(posts=7200, rate=2) == 1
    assert hours(posts=7200, rate=2, processes=4) == 0.25


def test_the_rate_is_the_one_the_page_says_was_measured():
    rate = SCALE[SCALE.index("--rate") + 1]
    assert len(re.findall(rf"\b{rate} posts/s", TEXT)) == 2
    minutes = [round(rows / float(rate) / 60) for rows in (10_000, 100_000)]
    told = f"at {rate} posts/s 10,000 rows are {minutes[0]} minutes, 100,000 are {minutes[1]}."
    assert told in " ".join(TEXT.split())


def test_the_command_that_measures_runs(folder, monkeypatch, capsys):
    few = ["--sample", "8", "--loop_sample", "2", "--rounds", "1"]
    monkeypatch.chdir(folder)
    assert MEASURE[:3] == ["python", "-m", "benchmarks.scoring"]
    scoring([*MEASURE[3:], *few])
    assert re.search(r"^\| run_predict.py \| [\d.]+ \|", capsys.readouterr().out, re.MULTILINE)


@with_ray
def test_the_command_of_ray_runs(folder):
    result = run([sys.executable, "-m", *ON_RAY], folder)
    assert result.returncode == 0, result.stderr
    assert "Scored 12 posts, 0 with an error" in result.stdout
    assert pq.read_table(folder / ON_RAY[-1]).num_rows == 12


@with_ray
def test_a_predictor_in_a_pipeline_of_ones_own_runs(folder):
    (block,) = blocks(TEXT, "python")
    result = run([sys.executable, "-c", block], folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("'error': None") == 2, result.stdout
