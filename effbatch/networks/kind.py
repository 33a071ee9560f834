"""A network -> its kind in a few words, by its layers: what records of trained networks are kept apart by."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

BODIES = {"recurrent": nn.RNNBase, "attention": nn.MultiheadAttention, "convolutional": _ConvNd}
NORMALISATIONS = (_NormBase, nn.LayerNorm, nn.GroupNorm)


def kind_of_network(network: nn.Module) -> str:
    """Recurrent, attention, convolutional or dense, in this order, and whether anything is normalised.

    >>> kind_of_network(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)))
    'dense network with normalisation'
    """
    layers = list(network.modules())
    body = next((name for name, kind in BODIES.items() if any(isinstance(layer, kind) for layer in layers)), "dense")
    return f"{body} network{' with normalisation' * normalises(network)}"


def normalises(network: nn.Module) -> bool:
    """Whether a layer divides what it gets by a standard deviation, such as BatchNorm, LayerNorm or one called so."""
    return bool(_normalising(network))


def has_gains(network: nn.Module) -> bool:
    """Whether layers that normalise have gains or biases that are trained.

    >>> has_gains(nn.LayerNorm(4)), has_gains(nn.LayerNorm(4, elementwise_affine=False))
    (True, False)
    """
    return any(weight.requires_grad for layer in _normalising(network) for weight in layer.parameters())


def _normalising(network: nn.Module) -> list[nn.Module]:
    return [of for of in network.modules() if isinstance(of, NORMALISATIONS) or "Norm" in type(of).__name__]
