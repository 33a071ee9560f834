"""Images of a data set in the order of memory that a network wants."""

from __future__ import annotations

import pytest
import torch

from effbatch.engine.images import Images


@pytest.mark.parametrize("channels_last", [True, False])
def test_a_batch_is_the_images_asked_for_and_nothing_is_copied_before(channels_last):
    """On a CPU: 50,000 images turned at once took a short run longer than its steps."""
    images = torch.randn(12, 3, 4, 5)
    held = Images(images, (3, 4, 5), channels_last=channels_last)
    assert held.images.data_ptr() == images.data_ptr()
    index = torch.tensor([7, 0, 7, 11])
    batch = held.batch(index, groups=2)
    assert torch.equal(batch, images[index].view(2, 2, 3, 4, 5))
    assert batch.stride() == ((120, 60, 1, 15, 3) if channels_last else (120, 60, 20, 5, 1))
