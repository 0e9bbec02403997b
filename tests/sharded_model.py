"""Shard a tiny model over the processes as fsdp2.yaml asks for, and compare with a whole one."""

import os

import torch
import torch.distributed as dist
from tiny_models import batch, tiny_model
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from transformers import TrainerState

from hybridsent.training.averaging import WeightAverage, trained_weights


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


def main():
    """Print how many layers were sharded; fail if loss, a gradient or a mean of weights differs."""
    dist.init_process_group("gloo")
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
    dist.barrier()
    # All is compared. Gloo's threads were once seen to abort a process that was ending in order.
    os._exit(0)


if __name__ == "__main__":
    main()
