"""The benchmark of exports times each of them; tests do not assert speed."""

import re

from benchmarks.exported import main


def test_it_prints_a_row_for_each_way_and_batch_size(exports, capsys):
    given = ["--exports", str(exports["openvino"]), "--posts", "17", "--rounds", "1"]
    main(["--model", str(exports.model), *given])
    text = capsys.readouterr().out
    rows = re.findall(r"^\| ([\w ,.]+) \| \d+\.\d \| \d+\.\d\d \|$", text, re.M)
    assert re.findall(r"^Batches of (\d+):$", text, re.M) == ["1", "16"]
    assert rows == ["the model", "the model, optimised by run_predict.py", "openvino"] * 2
