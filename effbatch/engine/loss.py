"""Logits and labels of a step -> the slope of every member's cross-entropy, and the mean loss since an evaluation."""

from __future__ import annotations

import torch
from torch import Tensor


class CrossEntropies:
    """−Σ_k target_k ln softmax(logits)_k of B images for each of S·A·L members, the mean over the batch.

    Members of a seed and an α have the same labels. `soft_targets` (A, K, K) are the targets of a label at each α;
    None: the label itself.
    """

    def __init__(
        self, members: tuple[int, int, int], batch_size: int, soft_targets: Tensor | None, device: torch.device
    ):
        self.soft_targets = soft_targets
        self.minus_one = torch.full((1,), -1.0, device=device).expand(*members, 1, batch_size)
        self.log_likelihood = torch.zeros(*members, 1, batch_size, device=device)  # sum over the steps so far

    def labels(self, drawn: Tensor) -> Tensor:
        """Labels (steps, S, A, B) as `slope` takes them, (steps, S, A, L, 1, B)."""
        return drawn[:, :, :, None, None].expand(-1, *self.minus_one.shape)

    def slope(self, logits: Tensor, label: Tensor) -> Tensor:
        """The slope (S, M, K, B) of the sum over the batch in the logits, softmax − target."""
        log_p = logits.log_softmax(dim=2).view(*label.shape[:3], *logits.shape[2:])
        if self.soft_targets is None:
            self.log_likelihood += log_p.gather(3, label)
            return log_p.exp_().scatter_add_(3, label, self.minus_one).view(logits.shape)
        A = torch.arange(label.shape[1], device=label.device).view(1, -1, 1)
        target = self.soft_targets[A, label[:, :, 0, 0]].movedim(-1, 2).unsqueeze(2)  # (S, A, 1, K, B)
        self.log_likelihood += (target * log_p).sum(3, keepdim=True)
        return log_p.exp_().sub_(target).view(logits.shape)

    def mean_of(self, steps: int) -> Tensor:
        """The mean loss (S, M) of the steps since the last call, `steps` in number."""
        mean = self.log_likelihood.sum((3, 4)).flatten(1) / (-self.log_likelihood.shape[-1] * steps)
        self.log_likelihood.zero_()
        return mean
