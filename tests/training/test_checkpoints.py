"""Half a checkpoint is never gone on from, whichever file is absent or cut."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file
from transformers import TrainerState

from hybridsent.training.checkpoints import checkpoint_to_resume, faults_of

FILES = ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json")


def write_checkpoint(folder):
    folder.mkdir(parents=True)
    save_file({"weight": torch.ones(64)}, folder / "model.safetensors")
    for name in FILES[1:4]:
        torch.save({"state": torch.ones(64)}, folder / name)
    TrainerState(global_step=int(folder.name[11:])).save_to_json(folder / "trainer_state.json")
    return folder


@pytest.fixture
def output(tmp_path):
    for step in (5, 10):
        write_checkpoint(tmp_path / f"checkpoint-{step}")
    (tmp_path / "checkpoint-best").mkdir()
    return tmp_path


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def test_the_newest_whole_one_is_taken(output):
    ten = output / "checkpoint-10"
    assert checkpoint_to_resume("true", output) == (str(ten), f"Resuming from {ten}.")
    assert checkpoint_to_resume("True", output)[0] == str(ten)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("spoil", "said"), [(cut, "damaged"), (lambda x: x.unlink(), "missing")])
def test_a_spoilt_one_is_passed_over_and_named(output, name, spoil, said):
    five, ten = output / "checkpoint-5", output / "checkpoint-10"
    spoil(ten / name)
    chosen, message = checkpoint_to_resume("true", output)
    assert chosen == str(five)
    assert message == (
        f"Skipping incomplete checkpoint {ten}: {name} is {said}.\nResuming from {five}."
    )
    with pytest.raises(
        ValueError, match=rf"checkpoint-10: incomplete checkpoint \({name} is {said}"
    ):
        checkpoint_to_resume(str(ten), output)


def test_a_changed_byte_is_noticed(output):
    file = output / "checkpoint-10" / "optimizer.pt"
    content = bytearray(file.read_bytes())
    content[content.index(torch.ones(64).numpy().tobytes()) + 9] ^= 1
    file.write_bytes(content)
    assert faults_of(file.parent) == ["optimizer.pt is damaged"]


def test_every_shard_of_the_weights_must_be_there(output):
    folder = output / "checkpoint-10"
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    (folder / "model.safetensors").rename(folder / names[0])
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": dict(zip("ab", names, strict=True))}))
    assert faults_of(folder) == [f"{names[1]} is missing"]
    shutil.copy(folder / names[0], folder / names[1])
    assert faults_of(folder) == []
    cut(index)
    assert faults_of(folder) == ["model.safetensors.index.json is damaged"]


def test_without_any_whole_one_the_beginning_is_named(output, tmp_path):
    for step in (5, 10):
        (output / f"checkpoint-{step}" / "trainer_state.json").unlink()
    chosen, message = checkpoint_to_resume("true", output)
    assert chosen is None
    assert message.count("Skipping") == 2
    assert message.endswith(f"No complete checkpoint in {output}: training starts from step 0.")
    assert checkpoint_to_resume("true", tmp_path / "absent")[0] is None


@pytest.mark.parametrize("wanted", [None, "false", "False", False])
def test_nothing_wanted_nothing_said(output, wanted):
    assert checkpoint_to_resume(wanted, output) == (None, "")


class Evil:
    def __reduce__(self):
        return print, ("run",)


def write_index(folder):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "../x.safetensors"}}'
    )


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda x: torch.save({"a": Evil()}, x / "optimizer.pt"),
            "optimizer.pt holds objects other",
        ),
        (
            lambda x: TrainerState(global_step=10**9).save_to_json(x / FILES[4]),
            "step 1000000000, not",
        ),
        (lambda x: TrainerState(global_step=-1).save_to_json(x / FILES[4]), "json is damaged"),
        (lambda x: TrainerState(global_step="1").save_to_json(x / FILES[4]), "json is damaged"),
        (
            lambda x: TrainerState(global_step=10, log_history=[1]).save_to_json(x / FILES[4]),
            "json is damaged",
        ),
        (lambda x: (x / FILES[4]).write_text("[" * 100_000), "json is damaged"),
        (write_index, "names '../x.safetensors', which is no file of the folder"),
    ],
)
def test_one_that_somebody_changed_is_refused_with_the_reason(output, capsys, spoil, said):
    spoil(output / "checkpoint-10")
    with pytest.raises(ValueError, match=r"incomplete") as error:
        checkpoint_to_resume(str(output / "checkpoint-10"), output)
    assert said in str(error.value)
    assert "weights_only" not in str(error.value)
    assert capsys.readouterr().out == ""  # nothing ran


def test_another_number_of_processes_is_said(output):
    ten = output / "checkpoint-10"
    said = "written by 1 process(es), and this run has 2"
    assert said in checkpoint_to_resume("true", output, processes=2)[1]
    for name in ("rng_state_0.pth", "rng_state_1.pth"):
        shutil.copy(ten / "rng_state.pth", ten / name)
    (ten / "rng_state.pth").unlink()
    assert said not in checkpoint_to_resume(str(ten), output, processes=2)[1]
    assert "written by 2 process(es)" in checkpoint_to_resume(str(ten), output)[1]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"checkpoint-7: incomplete checkpoint \(there is no such"):
        checkpoint_to_resume(str(tmp_path / "checkpoint-7"), tmp_path)
