"""What two processes do: shard a tiny model by its layers, and train every encoder in DDP."""

import os

import torch
import torch.distributed as dist
from tiny_encoders import build, inputs_of, working_encoders
from tiny_models import batch, tiny_model
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from transformers import TrainerState

from hybridsent.training.averaging import WeightAverage, trained_weights

STEPS = 3  # DDP stops at the second if a parameter got no gradient in the first


@torch.no_grad()
def compare_averages(whole, sharded):
    """Fail if the mean of shards, which one evaluation has, is not that of the whole weights."""
    averages = WeightAverage(0), WeightAverage(0, shard=dist.get_rank())
    for average, model in zip(averages, (whole, sharded), strict=True):
        for step in (1, 2):
            for tensor in trained_weights(model).values():
                tensor.mul_(1 + step / 10)
            state = TrainerState(global_step=step, max_steps=2)
            average.on_step_end(None, state, None, model=model)
    before = [model(**batch()).logits for model in (whole, sharded)]
    torch.testing.assert_close(*before)
    with averages[0].swapped_in(whole), averages[1].swapped_in(sharded):
        means = [model(**batch()).logits for model in (whole, sharded)]
    torch.testing.assert_close(*means)
    assert not torch.allclose(means[1], before[1])
    assert torch.equal(sharded(**batch()).logits, before[1])


def shard():
    """Shard as fsdp2.yaml asks for; print which layers; fail if loss, a gradient or a mean differs."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    whole, sharded = tiny_model(), tiny_model()
    layers = [m for m in sharded.modules() if type(m).__name__ in sharded._no_split_modules]
    for module in [*reversed(layers), sharded]:
        fully_shard(module, mesh=mesh)
    labels = torch.tensor([0, 1, 2, 0])
    losses = [model(**batch(), labels=labels).loss for model in (whole, sharded)]
    torch.testing.assert_close(*losses)
    for loss in losses:
        loss.backward()
    for expected, found in zip(whole.parameters(), sharded.parameters(), strict=True):
        assert (expected.grad is None) == (found.grad is None)
        if expected.grad is not None:
            torch.testing.assert_close(found.grad.full_tensor(), expected.grad, atol=1e-6, rtol=0)
    compare_averages(whole, sharded)
    print(f"sharded {len(layers)} layers: {sorted({type(m).__name__ for m in layers})}", flush=True)


def train(modality, name):
    """Train a model with this encoder on different posts in each process; compare their weights."""
    torch.manual_seed(0)
    model = build(modality, name).train()
    parallel = DistributedDataParallel(model, find_unused_parameters=False)
    descent = torch.optim.SGD(model.parameters(), lr=0.01)
    for step in range(STEPS):
        inputs = inputs_of(model.config, seed=2 * step + dist.get_rank())
        parallel(**inputs, labels=torch.tensor([0, 1])).loss.backward()
        descent.step()
        descent.zero_grad()
    for parameter in model.parameters():
        found = parameter.detach().clone()
        dist.broadcast(found, src=0)
        assert torch.equal(found, parameter)
    if dist.get_rank() == 0:
        print(f"trained {modality} {name}", flush=True)


def main():
    """Shard, then train with each encoder of docs/encoders.md that works."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    shard()
    for modality, name in working_encoders():
        train(modality, name)
    dist.barrier()
    # All is compared. Gloo's threads were once seen to abort a process that was ending in order.
    os._exit(0)


if __name__ == "__main__":
    main()
