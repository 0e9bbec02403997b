"""The benchmark of scoring runs and prints every figure; tests do not assert speed."""

import re

from tiny_models import save_tiny

from benchmarks.scoring import main


def test_it_prints_rates_and_memory(tmp_path, capsys):
    save_tiny(tmp_path)
    options = {"posts": 4, "sample": 8, "loop_sample": 2, "rounds": 1, "cpu_threads": 1}
    given = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    main(["--model", str(tmp_path), *given])
    text = capsys.readouterr().out
    rates = re.findall(r"^\| ([\w. ,]+) \| [\d.]+ \| \d+\.\d\d \|$", text, re.MULTILINE)
    assert len(rates) == 7
    assert re.findall(r"^\| (\d+) \| \d{2,5} \|$", text, re.MULTILINE) == ["4", "40"]
