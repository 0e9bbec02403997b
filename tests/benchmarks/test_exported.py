"""The benchmark of exports times each of them; how fast they are is no test's business."""

import re

from benchmarks.exported import main


def test_it_prints_a_row_for_each_way_and_batch_size(exports, capsys):
    given = ["--exports", str(exports["openvino"]), "--posts", "17", "--rounds", "1"]
    main(["--model", str(exports.model), *given])
    rows = re.findall(
        r"^\| (\d+) \| ([\w ]+) \| \d+\.\d \| \d+\.\d\d \|$", capsys.readouterr().out, re.M
    )
    ways = ["the model", "openvino"]
    assert rows == [(size, way) for size in ("1", "16") for way in ways]
