"""What two processes do: shard a tiny model by its layers, and train every encoder in DDP."""

import os

import torch
import torch.distributed as dist
from tiny_encoders import build, inputs_of, tested_encoders
from tiny_models import batch, tiny_model
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

STEPS = 3  # DDP stops at the second if a parameter got no gradient in the first


def shard():
    """Shard as fsdp2.yaml asks for; print which layers; fail if loss or a gradient differs."""
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
    for modality, name in tested_encoders():
        train(modality, name)
    dist.barrier()
    # All is compared. Gloo's threads were once seen to abort a process that was ending in order.
    os._exit(0)


if __name__ == "__main__":
    main()
