"""A real Lightning `Trainer` with the callback: batches are measured, and training is what it was without."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from effbatch.core.errors import InputError
from effbatch.integrations.lightning import noise_scale_callback
from effbatch.measure.gradients import measure_moments
from effbatch.measure.tracker import NoiseScaleTracker

x = torch.randn(48, 1, 4, 4, generator=torch.Generator().manual_seed(0))
y = torch.arange(48) % 3


@pytest.mark.filterwarnings("ignore")  # of Lightning: few batches, no validation, workers of the loader
def test_every_batch_is_measured_and_training_is_unchanged():
    lightning = pytest.importorskip("lightning.pytorch")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            torch.manual_seed(1)
            self.network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))

        def forward(self, images):
            return self.network(images)

        def training_step(self, batch, index):
            images, labels = batch
            return nn.functional.cross_entropy(self(images), labels)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    def fitted(module, *callbacks):
        quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        trainer = lightning.Trainer(max_epochs=2, callbacks=list(callbacks), accelerator="cpu", **quiet)
        trainer.fit(module, DataLoader(TensorDataset(x, y), batch_size=16))
        return module

    module = Module()
    first = measure_moments(module.network, x[:16], y[:16], num_classes=3).noise_scale(0.0)
    tracker = NoiseScaleTracker(module, alpha=1.0, every=1, batches=1, overhead=float("inf"))
    fitted(module, noise_scale_callback(tracker))
    assert [record.step for record in tracker.history] == [1, 2, 3, 4, 5, 6]
    assert tracker.history[0].noise_scale.low == pytest.approx(first.low, rel=1e-5)
    assert tracker.overhead > 0
    for own, plain in zip(module.parameters(), fitted(Module()).parameters(), strict=True):
        assert torch.equal(own, plain)


@pytest.mark.filterwarnings("ignore")  # of Lightning: few batches, no validation, workers of the loader
def test_a_module_in_training_mode_with_mappings_and_accumulation():
    lightning = pytest.importorskip("lightning.pytorch")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            torch.manual_seed(1)
            self.words, self.drop, self.last = nn.Embedding(9, 8), nn.Dropout(0.3), nn.Linear(8, 3)

        def forward(self, ids):
            return {"logits": self.last(self.drop(self.words(ids).mean(1)))}

        def training_step(self, batch, index):
            return nn.functional.cross_entropy(self(batch["ids"])["logits"], batch["label"], label_smoothing=0.1)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    ids = torch.randint(9, (48, 5), generator=torch.Generator().manual_seed(2))
    data = [{"ids": one, "label": int(one[0]) % 3} for one in ids]

    def fitted(*callbacks):
        quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        torch.manual_seed(3)
        module = Module()
        called = [one(module) for one in callbacks]
        trainer = lightning.Trainer(
            max_epochs=2, accumulate_grad_batches=3, callbacks=called, accelerator="cpu", **quiet
        )
        trainer.fit(module, DataLoader(data, batch_size=4))
        return module

    trackers = []

    def tracked(module):
        loss = nn.CrossEntropyLoss(label_smoothing=0.1)
        trackers.append(NoiseScaleTracker(module, loss=loss, every=1, batches=1, overhead=float("inf")))
        return noise_scale_callback(trackers[0])

    with_it, without = fitted(tracked), fitted()
    assert trackers[0].reason is None
    assert [record.step for record in trackers[0].history] == list(range(1, 9))
    assert {record.batch_size for record in trackers[0].history} == {12}
    for own, plain in zip(with_it.parameters(), without.parameters(), strict=True):
        assert torch.equal(own, plain)


def test_lightning_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning", None)
    monkeypatch.setitem(sys.modules, "lightning.pytorch", None)
    with pytest.raises(InputError, match="pip install lightning"):
        noise_scale_callback(NoiseScaleTracker(nn.Linear(2, 2)))
