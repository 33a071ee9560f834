"""A network -> the same in evaluation mode for a while, and what that changes about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Evaluation mode for a while; every module gets back the mode that it had."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def evaluation_remarks(network: nn.Module) -> tuple[str, ...]:
    """What evaluation mode changes about this network, one sentence each; empty where it changes nothing."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    remarks = []
    if norms:
        remarks.append(
            "evaluation mode: BatchNorm used its running statistics; in training the images of a batch share theirs, "
            "no gradient belongs to one image alone, and these numbers are only a guide"
        )
    if any(module.num_batches_tracked == 0 for module in norms):
        remarks.append("some BatchNorm has seen no batch: its running mean is 0 and its variance 1, not the data's")
    if any(isinstance(module, _DropoutNd) and module.p > 0 for module in network.modules()):
        remarks.append("evaluation mode: dropout was off; in training it adds noise that these numbers do not hold")
    return tuple(remarks)
