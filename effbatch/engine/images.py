"""Images of a data set -> batches on the device that trains, in the order of memory that suits a network."""

from __future__ import annotations

from torch import Tensor

from effbatch.noise.foreign import ShownImages


class Images:
    """Images (n, C, H, W), or features (n, d), held as rows of pixels where they are a tensor.

    Where channels come last, a CPU turns every batch: all images at once cost a short run more than its steps.
    """

    def __init__(self, images: Tensor | ShownImages, shape: tuple[int, ...], *, channels_last: bool) -> None:
        self.shape, self.channels_last = shape, channels_last and len(shape) == 3
        self.as_rows = isinstance(images, Tensor) and not (self.channels_last and images.device.type == "cpu")
        self.images = self._rows(images) if isinstance(images, Tensor) and self.as_rows else images

    def batch(self, index: Tensor, groups: int = 1) -> Tensor:
        """The images `index` (B·G,) as (B, G, C, H, W), or (B, G, d)."""
        images = self.images
        chosen = images.index_select(0, index) if isinstance(images, Tensor) else images[index]
        rows = chosen if self.as_rows else self._rows(chosen)
        if self.channels_last:
            C, H, W = self.shape
            return rows.view(-1, groups, H, W, C).permute(0, 1, 4, 2, 3)
        return rows.view(-1, groups, *self.shape)

    def _rows(self, images: Tensor) -> Tensor:
        """(n, C, H, W) -> (n, pixels)."""
        return (images.movedim(1, -1) if self.channels_last else images).flatten(1)
