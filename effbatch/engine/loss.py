"""Logits and labels of a step -> the slope of every member's loss, and the mean loss since an evaluation."""

from __future__ import annotations

import torch
from torch import Tensor

from effbatch.theory.losses import GCE_POWER as Q


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
        self.log_likelihood = torch.zeros(*members, 1, batch_size, device=device)  # minus losses, summed

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


class GeneralisedCrossEntropies(CrossEntropies):
    """(1 − p_y^q)/q, q = 0.7: a label that the network doubts counts less (Zhang & Sabuncu 2018, arXiv 1805.07836)."""

    def slope(self, logits: Tensor, label: Tensor) -> Tensor:
        """p_y^q (softmax − label), as `CrossEntropies`."""
        log_p = logits.log_softmax(dim=2).view(*label.shape[:3], *logits.shape[2:])
        weight = log_p.gather(3, label).mul_(Q).exp_()
        self.log_likelihood += (weight - 1) / Q
        return log_p.exp_().scatter_add_(3, label, self.minus_one).mul_(weight).view(logits.shape)


class ForwardCorrected(CrossEntropies):
    """−ln Σ_k p_k T_ky, cross-entropy of noisy labels where p is of true ones (Patrini et al. 2017, arXiv 1609.03683).

    `transition` (A, K, K) is T of every α, rows = true class.
    """

    def __init__(self, members: tuple[int, int, int], batch_size: int, transition: Tensor, device: torch.device):
        super().__init__(members, batch_size, None, device)
        self.log_given = transition.log().transpose(1, 2)  # of a label, by the true class

    def slope(self, logits: Tensor, label: Tensor) -> Tensor:
        """p_k − p_k T_ky / Σ_j p_j T_jy: softmax − what the label makes of it; as `CrossEntropies`."""
        log_p = logits.log_softmax(dim=2).view(*label.shape[:3], *logits.shape[2:])
        A = torch.arange(label.shape[1], device=label.device).view(1, -1, 1)
        joint = log_p + self.log_given[A, label[:, :, 0, 0]].movedim(-1, 2).unsqueeze(2)  # ln p_k T_ky, (S, A, L, K, B)
        self.log_likelihood += joint.logsumexp(3, keepdim=True)
        return log_p.exp_().sub_(joint.softmax(3)).view(logits.shape)
