"""Several processes under torchrun, with plain torch.distributed; everything is a no-op in one
process.

Gradients are averaged by hand after backward: gradient penalties, growing networks and two-network
updates break the usual wrappers.
"""

import os
from dataclasses import dataclass

import torch
from torch import distributed
from torch.distributed.nn import functional

from gan_models.devices import choose_device
from gan_models.errors import UserError


@dataclass(frozen=True)
class Processes:
    """This process's place among all: rank 0 writes files and prints."""

    rank: int = 0
    world_size: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def is_main(self):
        return self.rank == 0

    def share(self, drawn):
        """This process's rows of what was drawn for the global batch, on its device."""
        mine = drawn[self.rank :: self.world_size]
        if self.device.type == "cuda":  # copied while the processor goes on
            mine = mine.pin_memory()
        return mine.to(self.device, non_blocking=True)


def start(device="auto"):
    """Join the process group that torchrun describes, if any; returns Processes.

    device "auto" takes this process's GPU where there is one. UserError for one that is not there.
    """
    rank, world_size = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    if device == "cuda" or device == "auto" and torch.cuda.is_available():
        device = f"cuda:{local_rank}"
    try:
        device = choose_device(device)
    except UserError as error:
        raise UserError(f"--device: {error}") from error
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if world_size > 1 and not distributed.is_initialized():
        # What is agreed on the processor goes by gloo: it does not wait for the GPU.
        distributed.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    return Processes(rank, world_size, device)


def stop():
    if distributed.is_initialized():
        distributed.destroy_process_group()


def wait():
    """Until every process is here."""
    if distributed.is_initialized():
        distributed.barrier()


def one_by_one(function):
    """The function's result, made by rank 0 first: what it stores or downloads serves the others.

    An exception there ends the others through torchrun.
    """
    if not distributed.is_initialized() or distributed.get_rank() == 0:
        result = function()
        wait()
        return result
    wait()
    return function()


def world_size():
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def broadcast(*modules):
    """Give every process rank 0's parameters and buffers."""
    if not distributed.is_initialized():
        return
    for module in modules:
        for tensor in module.state_dict().values():
            distributed.broadcast(tensor, src=0)


class SynchronisedNorm(torch.nn.BatchNorm2d):
    """Batch norm whose statistics in training are those of the global batch, on any device.

    Shares must be equally large. torch's own SyncBatchNorm runs on GPUs only.
    """

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        count = x.numel() // x.shape[1] * distributed.get_world_size()
        wide = x.float()
        sums = torch.stack([wide.sum((0, 2, 3)), wide.square().sum((0, 2, 3))])
        mean, square = functional.all_reduce(sums) / count
        variance = (square - mean.square()).clamp(min=0)
        with torch.no_grad():
            unbiased = variance * (count / max(count - 1, 1))
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
            self.num_batches_tracked += 1
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            scale = self.weight * scale
        shift = (self.bias if self.affine else 0) - mean * scale
        return (wide * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)).to(x.dtype)


def synchronise_norms(module):
    """Make each batch norm inside `module` use the statistics of all processes together."""
    if not distributed.is_initialized():
        return
    for part in module.modules():
        if type(part) is torch.nn.BatchNorm2d:
            part.__class__ = SynchronisedNorm


def average_gradients(module):
    """Replace each gradient by its mean over the processes; parameters without one are skipped
    everywhere.
    """
    if not distributed.is_initialized():
        return
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def mean(values):
    """The mean over the processes of a dict of scalar tensors, as floats."""
    stacked = torch.stack([value.detach().float() for value in values.values()])
    if distributed.is_initialized():
        distributed.all_reduce(stacked)
        stacked /= distributed.get_world_size()
    return dict(zip(values, stacked.tolist(), strict=True))


def agree(flag):
    """Rank 0's `flag`, on every process: decisions that read a clock must be taken once."""
    if not distributed.is_initialized():
        return flag
    value = torch.tensor(int(flag))
    distributed.broadcast(value, src=0)
    return bool(value)
