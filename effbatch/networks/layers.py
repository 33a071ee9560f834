"""Layers of built-in networks that PyTorch does not have; `effbatch/engine/stacking.py` stacks them too."""

from __future__ import annotations

from torch import Tensor, nn


class Residual(nn.Module):
    """x -> body(x) + shortcut(x) (He et al., 2016)."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.shortcut(x)
