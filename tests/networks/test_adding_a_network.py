"""A network is one small file: put beside the built-in ones it is found, and built with weights drawn by its seed."""

import sys

import pytest
import torch

from effbatch.networks import builtin, zoo

FILE = '''
"""One linear layer over the mean of every channel."""

from torch import nn


def thumbnail(image_shape, num_classes):
    """The mean of every channel, then softmax regression."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(image_shape[0], num_classes))


NETWORKS = (thumbnail,)
'''


@pytest.fixture
def added(tmp_path, monkeypatch):
    (tmp_path / "thumbnails.py").write_text(FILE, encoding="utf-8")
    monkeypatch.setattr(builtin, "__path__", [*builtin.__path__, str(tmp_path)])
    monkeypatch.setattr(zoo, "NETWORKS", zoo._discover())
    yield
    sys.modules.pop("effbatch.networks.builtin.thumbnails", None)


def test_one_file_is_a_network(added):
    one, same, other = (zoo.build("thumbnail", (3, 8, 8), 5, seed=seed) for seed in (1, 1, 2))
    images = torch.ones(2, 3, 8, 8)
    assert one(images).shape == (2, 5)
    assert torch.equal(one(images), same(images))
    assert not torch.equal(one(images), other(images))
