"""Every file of settings for accelerate is read by it as meant; what a CPU can exercise of them, is."""

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DistributedType
from documented_commands import BIN, ROOT, on_two_machines, run, typed
from tiny_encoders import working_encoders
from tiny_runs import write_recipe

from benchmarks.running_space import free_port

FOLDER = ROOT / "configs" / "accelerate"
KINDS = {
    "deepspeed_zero2": DistributedType.DEEPSPEED,
    "fsdp2": DistributedType.FSDP,
    "multi_gpu": DistributedType.MULTI_GPU,
    "multi_node": DistributedType.MULTI_GPU,
    "one_gpu": DistributedType.NO,
    "several_cpu_machines": DistributedType.MULTI_GPU,
    "several_gpu_machines": DistributedType.MULTI_GPU,
    "two_cpu_processes": DistributedType.MULTI_GPU,
}


def test_no_recipe_is_left_out():
    assert {file.stem for file in FOLDER.glob("*")} == set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_accelerate_reads_the_settings_and_the_comment_names_them(name):
    file = FOLDER / f"{name}.yaml"
    config = load_config_from_file(str(file))
    assert config.distributed_type == KINDS[name]
    assert config.use_cpu == ("cpu" in name)
    assert config.num_processes == (1 if name == "one_gpu" else 2)
    assert f"accelerate launch --config_file configs/accelerate/{name}.yaml" in file.read_text()


def test_sharded_settings_say_what_a_publishable_model_needs():
    fsdp = load_config_from_file(str(FOLDER / "fsdp2.yaml")).fsdp_config
    assert (fsdp["fsdp_version"], fsdp["fsdp_state_dict_type"]) == (2, "FULL_STATE_DICT")
    assert (
        load_config_from_file(str(FOLDER / "deepspeed_zero2.yaml")).deepspeed_config["zero_stage"]
        == 2
    )


def test_two_machines_train_together(tmp_path):
    """The command of the comment, typed twice on one machine, without a GPU."""
    recipe, settings = write_recipe(tmp_path), tmp_path / "settings.yaml"
    on_cpu = yaml.safe_load((FOLDER / "multi_node.yaml").read_text())
    on_cpu |= {"use_cpu": True, "mixed_precision": "no"}
    settings.write_text(yaml.safe_dump(on_cpu))
    given = {
        "config_file": settings,
        "num_machines": 2, "num_processes": 2, "main_process_ip": "127.0.0.1",
        "data_dir": tmp_path / "posts", "output_dir": tmp_path / "out",
    }  # fmt: skip
    port = free_port()

    def command(rank):
        words = typed(FOLDER / "multi_node.yaml", "--output_dir", given | {"machine_rank": rank})
        words[words.index("RECIPE")] = recipe
        return [*words[:2], "--main_process_port", port, *words[2:], "--max_steps", 2]

    first, second = on_two_machines(command, tmp_path)
    assert '"processes": 2' in (tmp_path / "out" / "metrics.json").read_text()
    assert "| both | decision |" in first
    assert "| both | decision |" not in second


@pytest.fixture(scope="module")
def parallel():
    """What two processes print that shard a model, and then train each encoder."""
    launcher = [BIN / "torchrun", "--nproc_per_node", 2, "--master_port", free_port()]
    result = run([*launcher, ROOT / "tests" / "parallel_models.py"])
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_model_sharded_by_its_layers_has_the_same_loss_gradients_and_mean_weights(parallel):
    """FSDP2 itself, since the Trainer turns it into DDP on a CPU."""
    for layer in ("BertLayer", "ViTLayer", "HybridSentCrossModalLayer", "HybridSentFusionBranch"):
        assert f"FSDP{layer}" in parallel


def test_plain_ddp_trains_with_every_encoder(parallel):
    """Without a search for unused parameters, of which one would stop it."""
    lines = [line.split() for line in parallel.splitlines() if line.startswith("trained")]
    assert [(modality, name) for _, modality, name in lines] == working_encoders()
    assert len(lines) > 60
