"""The public names of effbatch -> their signatures, and numbers that they give on fixed inputs."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch

import effbatch


def signatures() -> dict[str, str]:
    return {name: str(inspect.signature(getattr(effbatch, name))) for name in effbatch.__all__}


def noise_scales() -> dict[str, list[float]]:
    """Of five given gradient numbers, at four α."""
    alphas = np.array([0.0, 0.5, 3.0, 50.0])
    moments = effbatch.GradientMoments(1.5, 0.1, 0.04, 9.0, 8.0)
    return {
        "noise_scale": moments.noise_scale(alphas).tolist(),
        "effective_batch_size": moments.effective_batch_size(alphas, 32).tolist(),
        "uniform_output": effbatch.GradientMoments.at_uniform_output(20.0).noise_scale(alphas).tolist(),
        "clean_again": [float(number) for number in vars(moments.with_clean_labels(0.5)).values()],
    }


def measured_moments() -> dict[str, Any]:
    """Of a small network on 30 drawn images."""
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(30, 1, 3, 3)).astype(np.float32), rng.integers(4, size=30)
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 5), torch.nn.ReLU(), torch.nn.Linear(5, 4))
    found = effbatch.measure_moments(network, images, labels, num_classes=4)
    scale = found.noise_scale(3.0)
    return {"noise_scale": scale.value, "interval": list(scale.interval), "layers": list(found.layers)}


def answers() -> dict[str, Any]:
    """All of the above but signatures, and a prediction and an estimate."""
    return {
        "noise_scales": noise_scales(),
        "measured_moments": measured_moments(),
        "predict": effbatch.predict(6.0, 32, steps=400, optimizer="adam").to_dict(),
        "estimate_noise": effbatch.estimate_noise(100, 30, 10).to_dict(),
    }
