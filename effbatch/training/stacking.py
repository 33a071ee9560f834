"""One `nn.Sequential` per seed -> all members of a unit as one network with stacked parameters.

Every parameter gains two leading axes, seeds S and members M (the cells of one seed: they share initialisation
and images). Activations are (S, M, *features, B) with the batch last, so that a linear layer reads W·h as in
the formula, and flattening is a view. Images are shared by the members of a seed (M = 1 until the first layer
with weights), which makes that layer one wide matrix product per seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from effbatch.errors import InputError

LayerFunction = Callable[[nn.Module, Sequence[Tensor], Tensor], Tensor]


class StackedNetwork:
    """S·M networks trained side by side; `parameters` holds the stacked tensors, ready for autograd."""

    def __init__(self, networks: Sequence[nn.Sequential], members: int, device: torch.device) -> None:
        self.layers = list(networks[0])
        for layer in self.layers:
            if type(layer) not in LAYERS:
                known = ", ".join(kind.__name__ for kind in LAYERS)
                raise InputError(f"an ensemble can hold the layers {known}; {type(layer).__name__} came")
        self.parameters: list[Tensor] = []
        for tensors in zip(*(net.parameters() for net in networks), strict=True):
            stacked = torch.stack([t.detach() for t in tensors]).to(device)
            repeated = stacked.unsqueeze(1).expand(-1, members, *tensors[0].shape)
            self.parameters.append(repeated.clone(memory_format=torch.contiguous_format).requires_grad_())

    def __call__(self, images: Tensor) -> Tensor:
        """Images (S or 1, 1, C, H, W, B) -> logits (S, M, K, B)."""
        remaining = iter(self.parameters)
        h = images
        for layer in self.layers:
            own = [next(remaining) for _ in layer.parameters()]
            h = LAYERS[type(layer)](layer, own, h)
        return h


def _matmul(weight: Tensor, bias: Tensor | None, h: Tensor) -> Tensor:
    """weight (S, M, O, D) · h (S or 1, M or 1, D, B) [+ bias (S, M, O)] -> (S, M, O, B)."""
    S, M, O, D = weight.shape  # noqa: E741 - the letters of the docstring
    B = h.shape[-1]
    if h.shape[1] == 1:  # shared by the members: one product of M·O rows per seed
        out = weight.reshape(S, M * O, D) @ h.squeeze(1)
        out = out.view(S, M, O, B)
        return out if bias is None else out + bias.unsqueeze(-1)
    flat = h.reshape(S * M, D, B)
    if bias is None:
        return torch.bmm(weight.view(S * M, O, D), flat).view(S, M, O, B)
    return torch.baddbmm(bias.view(S * M, O, 1), weight.view(S * M, O, D), flat).view(S, M, O, B)


def _linear(layer: nn.Module, own: Sequence[Tensor], h: Tensor) -> Tensor:
    return _matmul(own[0], own[1] if len(own) > 1 else None, h)


def _conv2d(layer: nn.Module, own: Sequence[Tensor], h: Tensor) -> Tensor:
    """Convolution as patches times weights: h (S, M, C, H, W, B) -> (S, M, O, H', W', B)."""
    assert isinstance(layer, nn.Conv2d)
    if layer.groups != 1 or layer.dilation != (1, 1) or layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        raise InputError(
            f"an ensemble needs plain convolutions (numeric zero padding, no groups or dilation); {layer} came"
        )
    (kh, kw), (sh, sw), (ph, pw) = layer.kernel_size, layer.stride, layer.padding
    h = nn.functional.pad(h, (0, 0, pw, pw, ph, ph))
    patches = h.unfold(3, kh, sh).unfold(4, kw, sw)  # (S, M, C, H', W', B, kh, kw)
    S, M, C, height, width, B = patches.shape[:6]
    columns = patches.permute(0, 1, 2, 6, 7, 3, 4, 5).reshape(S, M, C * kh * kw, height * width * B)
    out = _matmul(own[0].flatten(3), own[1] if len(own) > 1 else None, columns)
    return out.view(*out.shape[:3], height, width, B)


def _max_pool2d(layer: nn.Module, own: Sequence[Tensor], h: Tensor) -> Tensor:
    assert isinstance(layer, nn.MaxPool2d)
    k = layer.kernel_size
    if not isinstance(k, int) or layer.stride != k or layer.padding != 0 or layer.dilation != 1 or layer.ceil_mode:
        raise InputError(f"an ensemble needs max pooling with stride = kernel size and no padding; {layer} came")
    height, width = h.shape[3] // k, h.shape[4] // k
    h = h[:, :, :, : height * k, : width * k]
    return h.unflatten(3, (height, k)).unflatten(5, (width, k)).amax(dim=(4, 6))


def _flatten(layer: nn.Module, own: Sequence[Tensor], h: Tensor) -> Tensor:
    return h.flatten(2, -2)


def _elementwise(layer: nn.Module, own: Sequence[Tensor], h: Tensor) -> Tensor:
    return layer(h)


LAYERS: dict[type[nn.Module], LayerFunction] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv2d,
    nn.MaxPool2d: _max_pool2d,
    nn.Flatten: _flatten,
    nn.ReLU: _elementwise,
    nn.Tanh: _elementwise,
    nn.GELU: _elementwise,
    nn.Identity: _elementwise,
}
