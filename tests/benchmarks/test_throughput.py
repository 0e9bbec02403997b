"""The benchmark of training runs all its ways."""

import sys

from documented_commands import ROOT, run
from tiny_models import save_tiny_encoders

from hybridsent.bundled.synthetic import write_posts


def test_throughput_trains_every_way(tmp_path):
    save_tiny_encoders(tmp_path)
    write_posts(tmp_path / "posts", sizes={"train": 40, "validation": 6, "test": 6})
    command = [sys.executable, "-m", "benchmarks.throughput", "--steps", "5", "--rounds", "1"]
    command += ["--data_dir", str(tmp_path / "posts"), "--per_device_train_batch_size", "4"]
    command += ["--text_encoder", str(tmp_path / "text")]
    command += ["--vision_encoder", str(tmp_path / "vision")]
    command += ["--model_config", '{"hidden_size": 16, "intermediate_size": 24}']
    result = run(command, ROOT)
    assert result.returncode == 0, result.stderr
    rows = [line.split(" | ") for line in result.stdout.splitlines()[-3:]]
    assert [row[0] for row in rows] == [
        "| bare PyTorch loop, concatenation",
        "| run_train.py",
        "| run_train.py --cache_features true",
    ]
    assert all(float(row[1]) > 0 for row in rows)
