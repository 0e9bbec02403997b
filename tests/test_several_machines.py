"""The command of the settings for several machines, typed twice on one machine, shares one table."""

import pytest
import yaml
from documented_commands import ROOT, on_two_machines, typed
from many_posts import good_posts, read_answers, write_csv
from tiny_models import save_tiny

from benchmarks.running_space import free_port

SETTINGS = ROOT / "configs" / "accelerate"
CPU, GPU = (SETTINGS / f"several_{kind}_machines.yaml" for kind in ("cpu", "gpu"))


def test_two_machines_share_the_rows(tmp_path):
    save_tiny(tmp_path / "tiny")
    posts = write_csv(tmp_path / "posts.csv", [{**post, "image": ""} for post in good_posts(50)])
    port = free_port()
    given = {"num_machines": 2, "num_processes": 2, "main_process_ip": "127.0.0.1"}
    given |= {"config_file": CPU, "model": tmp_path / "tiny", "input": posts}
    given |= {"output": tmp_path / "answers"}

    def command(rank):
        program, launch, *rest = typed(CPU, "--output", given | {"machine_rank": rank})
        rest += ["--rows_per_shard", 10, "--cpu_threads", 1, "--num_workers", 0]
        return [program, launch, "--main_process_port", port, *rest]

    first, second = on_two_machines(command, tmp_path)
    assert "(1 of 2 shares)" in first
    assert "30/30" in first
    assert "Scored 50 posts, 0 with an error" in first
    assert "Scored" not in second
    assert [answer["row"] for answer in read_answers(tmp_path / "answers")] == list(range(50))


def test_settings_of_gpus_differ_in_the_device_only():
    cpu, gpu = (yaml.safe_load(file.read_text(encoding="utf-8")) for file in (CPU, GPU))
    assert cpu.pop("use_cpu")
    assert cpu == gpu


@pytest.mark.parametrize("file", [CPU, GPU], ids=["cpu", "gpu"])
def test_the_command_names_its_own_file(file):
    assert typed(file, "--output")[3] == str(file.relative_to(ROOT))
