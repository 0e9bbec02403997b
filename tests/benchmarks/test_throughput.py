"""The benchmark of training runs all its ways."""

from tiny_models import save_tiny_encoders

from benchmarks.throughput import main
from hybridsent.bundled.synthetic import write_posts


def test_throughput_trains_every_way(tmp_path, capsys):
    save_tiny_encoders(tmp_path)
    write_posts(tmp_path / "posts", sizes={"train": 40, "validation": 6, "test": 6})
    command = ["--steps", "5", "--rounds", "1", "--cpu_threads", "1"]
    command += ["--data_dir", str(tmp_path / "posts"), "--per_device_train_batch_size", "4"]
    command += ["--text_encoder", str(tmp_path / "text")]
    command += ["--vision_encoder", str(tmp_path / "vision")]
    command += ["--model_config", '{"hidden_size": 16, "intermediate_size": 24}']
    main(command)
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[-3:]]
    assert [row[0] for row in rows] == [
        "| bare PyTorch loop, concatenation",
        "| run_train.py",
        "| run_train.py --cache_features true",
    ]
    assert all(float(row[1]) > 0 for row in rows)
