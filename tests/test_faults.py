"""What goes wrong on real machines: one message tells it, and nothing half-written stays."""

import os
import re
import shutil
import signal
import time

import psutil
import pytest
from file_limit import limited_files
from forked import Forked
from in_process import run_in_process, score_here, train_here
from many_posts import good_posts, read_answers, save_pictures, write_csv
from tiny_models import save_tiny
from tiny_runs import assert_same_weights, run_here, wait_for_losses, write_recipe

AGAIN = ("--resume_from_checkpoint", "true")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Two epochs of six steps, each evaluated and saved."""
    folder = tmp_path_factory.mktemp("tiny")
    return write_recipe(folder, logging_steps=1, cpu_threads=1, learning_rate=0.01)


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "out"
    run_here(recipe, "--output_dir", folder, "--save_total_limit", 3)
    return folder


def require_one_message(result, *words):
    assert result.returncode == 1, result.stderr
    assert [x[:7] for x in result.stderr.splitlines()].count("error: ") == 1, result.stderr
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


def half_written(folder):
    return [path for path in folder.rglob(".*") if path.name != ".lock"]


def test_a_loss_that_is_no_number_stops_the_run_before_it_writes_a_model(recipe, tmp_path):
    folder = tmp_path / "out"
    absurd = ("--learning_rate", 1e30, "--lr_scheduler_type", "constant")
    result = train_here(recipe, "--output_dir", folder, *absurd)
    require_one_message(
        result, " at step ", "in a batch of posts train-", "Highest learning rate 1e+30"
    )
    assert not (folder / "model.safetensors").exists()


def test_with_debug_the_traceback_is_shown(tmp_path):
    (tmp_path / "recipe.yaml").write_text("- no\n- mapping\n")
    result = train_here(tmp_path / "recipe.yaml")
    require_one_message(result, f"{tmp_path}/recipe.yaml is not a recipe")
    with pytest.raises(ValueError, match="is not a recipe"):
        train_here(tmp_path / "recipe.yaml", "--debug")


def test_a_second_run_into_the_folder_of_one_at_work_is_refused(recipe, whole, tmp_path):
    folder = tmp_path / "out"
    first = Forked("train", recipe, "--output_dir", folder)
    wait_for_losses(first, 1)
    first.send_signal(signal.SIGSTOP)  # so that it is still there whenever the second has started
    second = train_here(recipe, "--output_dir", folder)
    first.send_signal(signal.SIGCONT)
    _, errors = first.communicate()
    require_one_message(second, f"{folder}: another run is writing here")
    assert first.returncode == 0, errors
    assert_same_weights(folder, whole)


def test_an_output_folder_that_cannot_be_is_told_before_the_training(recipe, tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = train_here(recipe, "--output_dir", tmp_path / "file" / "out")
    require_one_message(result, f"{tmp_path}/file/out: cannot be written", "Not a directory")
    assert "'loss'" not in result.stdout


def test_a_disk_that_is_full_at_the_end_leaves_no_half_of_a_model(recipe, whole, tmp_path):
    folder = tmp_path / "out"
    enough = (whole / "model.safetensors").stat().st_size - 1
    given = (recipe, "--output_dir", folder, "--save_strategy", "no", "--max_steps", 1)
    with limited_files(enough):
        result = train_here(*given, "--load_best_model_at_end", "false")
    require_one_message(result, "Disk full")
    assert {path.name for path in folder.iterdir()} <= {".lock"}


def test_a_disk_that_is_full_at_a_checkpoint_costs_no_more_than_that(recipe, whole, tmp_path):
    folder = tmp_path / "out"
    size = (whole / "checkpoint-6" / "optimizer.pt").stat().st_size
    with limited_files(size - 1):
        result = train_here(recipe, "--output_dir", folder)
    require_one_message(result, "Disk full")
    run_here(recipe, "--output_dir", folder, *AGAIN)
    assert_same_weights(folder, whole)


def test_killed_while_it_calibrates_and_scores_it_ends_in_the_same_model(recipe, whole, tmp_path):
    folder = tmp_path / "out"
    process = Forked("train", recipe, "--output_dir", folder)
    for line in process.stdout:
        if "train_runtime" in line:  # what is printed when the last step is done
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (folder / "metrics.json").exists()
    run_here(recipe, "--output_dir", folder, *AGAIN)
    assert_same_weights(folder, whole)
    assert (folder / "README.md").read_text().count("| both | decision |")


def test_the_newest_checkpoint_is_that_of_the_highest_step_whatever_the_clock_said(
    recipe, whole, tmp_path, capsys
):
    folder = shutil.copytree(whole, tmp_path / "out")
    for step in (6, 12):  # as if the clock had been put back in between
        for path in (folder / f"checkpoint-{step}", *(folder / f"checkpoint-{step}").iterdir()):
            os.utime(path, (2_000_000_000 - step * 86_400,) * 2)
    run_here(recipe, "--output_dir", folder, "--save_total_limit", 3, *AGAIN)
    assert f"Resuming from {folder}/checkpoint-12." in capsys.readouterr().out
    assert_same_weights(folder, whole)


def test_killed_while_it_prepares_no_half_of_a_set_is_there(recipe, tmp_path):
    output, raw = tmp_path / "prepared", tmp_path / "posts"
    shutil.copytree(recipe.parent / "posts", raw)
    header, *rows = (raw / "train.csv").read_text().splitlines()
    many = [f"{i}-{row}" for i in range(40) for row in rows]  # so that it takes a while
    (raw / "train.csv").write_text("\n".join([header, *many]))
    given = ("posts", "--data_dir", raw, "--output_dir", output)
    process = Forked("prepare", *given)
    while not list(tmp_path.glob(".prepared-*")):
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert not output.exists()
    assert run_in_process("prepare", given).returncode == 0
    assert list(output.rglob("*.parquet"))


@pytest.fixture(scope="module")
def scoring(tmp_path_factory):
    """Model, table of posts, and their number."""
    folder = tmp_path_factory.mktemp("scoring")
    save_tiny(folder / "model")
    save_pictures(folder / "posts")
    posts = good_posts(2000)
    table = write_csv(folder / "posts" / "posts.csv", posts)
    return ("--model", str(folder / "model"), "--input", str(table), "--cpu_threads", "1"), posts


def require_every_row_once(output, posts):
    answers = read_answers(output)
    assert [answer["row"] for answer in answers] == list(range(len(posts)))
    assert not any(answer["error"] for answer in answers)


@pytest.mark.parametrize("is_asleep", [False, True])
def test_a_worker_that_dies_ends_the_run_which_then_goes_on(is_asleep, scoring, tmp_path):
    given, posts = scoring
    given = (*given, "--rows_per_shard", 100, "--output", tmp_path / "answers")
    process = Forked("predict", *given, "--num_workers", 1)
    while not list((tmp_path / "answers").glob("rows-*.parquet")):
        assert process.poll() is None
        time.sleep(0.01)
    (worker,) = psutil.Process(process.pid).children()
    if is_asleep:  # so that it dies while the run asks it for a batch
        worker.suspend()
        time.sleep(0.5)
    worker.kill()
    result = process.finish()
    # Where torch's word of it comes while Python runs a finaliser, that is printed and ignored.
    ignored = r"Exception ignored in.*?is killed by signal: Killed\. *\n"
    result.stderr = re.sub(ignored, "", result.stderr, flags=re.DOTALL)
    require_one_message(result, "A worker process died")
    assert not half_written(tmp_path / "answers")
    again = score_here(*given)
    assert again.returncode == 0, again.stderr
    require_every_row_once(tmp_path / "answers", posts)


def test_a_full_disk_while_it_scores_loses_no_row(scoring, tmp_path):
    given, posts = scoring
    given = (*given, "--output", tmp_path / "answers")
    with limited_files(5_000):  # without workers, since the memory that they share counts, too
        result = score_here(*given)
    require_one_message(result, "Disk full")
    assert not half_written(tmp_path / "answers")
    again = score_here(*given)
    assert again.returncode == 0, again.stderr
    require_every_row_once(tmp_path / "answers", posts)
