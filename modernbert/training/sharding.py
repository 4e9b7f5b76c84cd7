"""A training divided among processes: weights, gradients and the optimiser's averages, by torch's FSDP2.

Each process keeps its part of every tensor. A layer is put together before it runs, forward and backward, and
is given up again after it; the gradients of a backward pass are summed and divided at once. So no process may
run a pass that another one does not run: whoever has none left runs an idle one (`idle_passes`).
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from modernbert import meeting, processes
from modernbert.model.encoder import packed_layer
from modernbert.settings.config import TrainingConfig


@dataclass(frozen=True)
class Divided:
    """A network whose weights are divided.

    Attributes:
        network: holds this process's part of them.
        whole: the network as it was loaded, which is saved and scored at the end; empty until `fill`.
    """

    network: nn.Module
    whole: nn.Module

    def fill(self, weights: dict[str, torch.Tensor]) -> None:
        """Give the whole network its trained weights."""
        for name, parameter in self.whole.named_parameters():
            if name in weights:
                parameter.data = weights[name]


def why_not(config: TrainingConfig, *, pads_masked: bool) -> str:
    """Return why this training cannot be divided; empty if it can.

    Args:
        pads_masked: is this masked language modelling with an architecture that runs padded?
    """
    if config.lora.enabled:
        return "--lora trains so few weights that nothing is gained by dividing them"
    if config.memory.compile:
        return "--compile needs weights that stay where they are"
    if pads_masked:
        return "this architecture runs each batch in as many passes as it has lengths, and they must be alike"
    return ""


def divide(network: nn.Module, device: torch.device) -> Divided:
    """Divide a network among the processes, each of which has loaded the same one.

    Its trained weights are given up here: `Divided.fill` gives it others.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    processes.copy_first([parameter.detach() for parameter in trained])
    # The twin's modules are its own, so that their parameters can be replaced; the tensors are the same.
    twin = copy.deepcopy(network, {id(parameter): parameter for parameter in network.parameters()})
    mesh = init_device_mesh(device.type, (processes.count(),))
    for layer in _layers(twin):
        fully_shard(layer, mesh=mesh)
        layer.packed = packed_layer(layer)  # type: ignore[assignment]
        register_fsdp_forward_method(layer, "packed")
    fully_shard(twin, mesh=mesh)
    for module in _divided_modules(twin):
        # Losses are sums: so are gradients. Gloo can do nothing else, whatever it is then divided by.
        module.set_gradient_divide_factor(1.0)
        module.set_force_sum_reduction_for_comms(True)
    for parameter in trained:
        parameter.data = parameter.data.new_empty(0)
    return Divided(twin, network)


def _layers(network: nn.Module) -> list[nn.Module]:
    """Return the layers of any encoder of transformers."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    return [module for module in network.modules() if isinstance(module, GradientCheckpointingLayer)]


def _divided_modules(network: nn.Module) -> list[Any]:
    from torch.distributed.fsdp import FSDPModule

    return [module for module in network.modules() if isinstance(module, FSDPModule)]


def is_divided(network: nn.Module) -> bool:
    """Are the weights of a network divided among processes?"""
    return bool(processes.count() > 1 and _divided_modules(network))


def idle_passes(network: nn.Module, shares: Sequence[Sequence[np.ndarray]]) -> int:
    """Return how many passes this process runs for others that have more; `shares` are the parts of all."""
    own = len(shares[processes.number()])
    return max(map(len, shares)) - own if is_divided(network) else 0


@contextlib.contextmanager
def put_together(network: nn.Module) -> Iterator[None]:
    """Let each process hold the whole weights in the block, so that it may run any number of passes.

    For evaluations, which need no gradients; all processes must enter it.
    """
    modules = _divided_modules(network) if is_divided(network) else []
    with meeting.connected():
        for module in modules:
            module.set_reshard_after_forward(False, recurse=False)
            module.unshard()
    try:
        yield
    finally:
        for module in modules:
            module.reshard()
            module.set_reshard_after_forward(module is not network, recurse=False)


def whole(value: Any) -> Any:
    """Return a tensor that is divided, or anything that holds some, whole and on the CPU.

    All processes must call it; the first one gets what they have, the others get nothing of use.
    """
    if isinstance(value, dict):
        return {key: whole(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [whole(one) for one in value]
    if not isinstance(value, torch.Tensor):
        return value
    with meeting.connected():
        full = value.full_tensor() if _is_part(value) else value  # type: ignore[attr-defined]
    return full.detach().cpu() if processes.leads() else None


def part_of(full: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return of a whole tensor what this process keeps, if `like` is divided."""
    if not _is_part(like):
        return full
    from torch.distributed.tensor import distribute_tensor

    # Every process has the tensor: nothing is sent.
    there = full.to(like.device, like.dtype)
    return distribute_tensor(there, like.device_mesh, like.placements, src_data_rank=None)  # type: ignore[attr-defined]


def own_part(tensor: torch.Tensor) -> torch.Tensor:
    """Return what this process holds of a tensor: all of it, unless it is divided."""
    return tensor.to_local() if _is_part(tensor) else tensor  # type: ignore[attr-defined]


def whole_norm(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the norm of tensors as one vector, those that are divided as a whole; all must call it.

    DTensor's own norm sends a message for each tensor; this one sends one.
    """
    own = torch.nn.utils.get_total_norm([own_part(tensor) for tensor in tensors])
    if not any(map(_is_part, tensors)):
        return own
    square = own.square()
    processes.add_up([square])
    return square.sqrt()


def whole_mean(part: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
    """Return the mean over a tensor like `of`, of which this process has `part`; all must call it."""
    if not _is_part(of):
        return part.mean()
    total = part.sum()
    processes.add_up([total])
    return total / of.numel()


def _is_part(tensor: torch.Tensor) -> bool:
    return hasattr(tensor, "to_local")  # a DTensor, which some builds of torch lack
