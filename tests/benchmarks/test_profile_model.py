"""The profile times each part on what it is given in a real pass, and prints what it found."""

import torch
from tiny_models import batch, save_tiny, tiny_model

from benchmarks.profile_model import call_of, main, parts_of, record_inputs
from hybridsent.bundled.synthetic import write_posts


def test_parts_cover_all_parameters_once():
    model = tiny_model()
    parts = {name: x for name, x in parts_of(model).items() if name != "BiRAU"}  # inside the branch
    counted = [p for modules in parts.values() for module in modules for p in module.parameters()]
    assert len(counted) == len({id(p) for p in counted})
    assert {id(p) for p in counted} == {id(p) for p in model.parameters()}


def test_a_part_alone_does_what_it_did_in_the_whole():
    model = tiny_model()
    inputs = batch()
    seen = {}
    hook = model.hybridsent.fusion_branch.register_forward_hook(
        lambda _module, _given, outputs: seen.setdefault("outputs", outputs)
    )
    given = record_inputs(model, inputs)
    hook.remove()
    args, options = given[model.hybridsent.fusion_branch]
    again = model.hybridsent.fusion_branch(*args, **options)
    assert torch.equal(again[1], seen["outputs"][1])
    call_of([model.hybridsent.fusion_branch], given, train=True)()
    assert all(p.grad is not None for p in model.hybridsent.fusion_branch.recurrence.parameters())
    assert all(p.grad is None for p in model.hybridsent.text_model.parameters())


def test_profile_prints_both_tables(tmp_path, capsys):
    save_tiny(tmp_path / "model")
    write_posts(tmp_path / "posts", sizes={"train": 6, "validation": 6, "test": 6})
    given = ["--model", str(tmp_path / "model"), "--posts", str(tmp_path / "posts")]
    main([*given, "--batch_size", "4", "--rounds", "1"])
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split(" | ")[0] for line in lines if line.startswith("| ")]
    assert rows.count("| BiRAU") == 2
    assert {"| scoring", "| training"} <= set(rows)
