"""The command of the settings for several machines, typed twice on one machine, shares one table."""

import re
import shlex
import socket
import subprocess

import pytest
import yaml
from documented_commands import BIN, ROOT, environment
from many_posts import good_posts, read_answers, write_csv
from tiny_models import save_tiny

SETTINGS = ROOT / "configs" / "accelerate"
CPU, GPU = (SETTINGS / f"several_{kind}_machines.yaml" for kind in ("cpu", "gpu"))


def typed(file, **values):
    """The command in the comment of the settings, as words, with some options of other values."""
    comment = re.sub(r"\s*\\?\n#\s*", " ", file.read_text(encoding="utf-8"))
    words = shlex.split(re.search(r"accelerate launch .*? --output \w+", comment)[0])
    for name, value in values.items():
        words[words.index(f"--{name}") + 1] = str(value)
    return words


def test_two_machines_share_the_rows(tmp_path):
    save_tiny(tmp_path / "tiny")
    posts = write_csv(tmp_path / "posts.csv", [{**post, "image": ""} for post in good_posts(50)])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {"num_machines": 2, "num_processes": 2, "main_process_ip": "127.0.0.1"}
    given |= {"config_file": CPU, "model": tmp_path / "tiny", "input": posts}
    machines = []
    for rank in (0, 1):
        program, launch, *rest = typed(CPU, machine_rank=rank, output=tmp_path / "answers", **given)
        command = [BIN / program, launch, "--main_process_port", port, *rest]
        command += ["--rows_per_shard", 10, "--cpu_threads", 1, "--num_workers", 0]
        log = (tmp_path / f"log-{rank}").open("w")
        machines.append(
            subprocess.Popen(
                list(map(str, command)), cwd=ROOT, env=environment(), stdout=log, stderr=log
            )
        )
    codes = [machine.wait() for machine in machines]
    first, second = (tmp_path.joinpath(f"log-{rank}").read_text() for rank in (0, 1))
    assert codes == [0, 0], first + second
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
    assert typed(file)[3] == str(file.relative_to(ROOT))
