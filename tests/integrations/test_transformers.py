"""A real Hugging Face `Trainer` that is tracked: batches are measured, and training is what it was without."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from effbatch.integrations.transformers import track
from effbatch.measure.gradients import measure_moments

x = torch.randn(48, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.filterwarnings("ignore")  # of the two libraries: deprecations, pinned memory
def test_every_batch_is_measured_and_training_is_unchanged(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")

    def trainer() -> transformers.Trainer:
        torch.manual_seed(1)
        config = transformers.ViTConfig(
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=8,
            patch_size=4,
            num_channels=1,
            num_labels=3,
        )
        options = {"report_to": [], "save_strategy": "no", "use_cpu": True, "disable_tqdm": True}
        return transformers.Trainer(
            model=transformers.ViTForImageClassification(config),
            args=transformers.TrainingArguments(
                str(tmp_path), per_device_train_batch_size=16, num_train_epochs=2, **options
            ),
            train_dataset=[{"pixel_values": image, "labels": i % 3} for i, image in enumerate(x)],
        )

    tracked, plain = trainer(), trainer()
    seen = []
    tracker = track(tracked, alpha=1.0, every=1, batches=1, overhead=float("inf"))
    step = tracker.step

    def noted(inputs):
        if not seen:
            logits = Logits(tracked.model)
            found = measure_moments(logits, inputs["pixel_values"], inputs["labels"], num_classes=3)
            seen.append(found.noise_scale(0.0))
        step(inputs)

    tracker.step = noted
    tracked.train()
    plain.train()
    assert [record.step for record in tracker.history] == [1, 2, 3, 4, 5, 6]
    assert tracker.history[0].noise_scale.value == pytest.approx(seen[0].value)
    for own, other in zip(tracked.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(own, other)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("accumulate", "smoothing"), [(1, 0.0), (3, 0.2)])
def test_a_classifier_of_tokens(tmp_path, accumulate, smoothing):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    draw = torch.Generator().manual_seed(0)
    lengths = torch.randint(4, 9, (48,), generator=draw).tolist()
    texts = [torch.randint(1, 30, (length,), generator=draw) for length in lengths]

    def padded(rows):
        ids = nn.utils.rnn.pad_sequence([row["input_ids"] for row in rows], batch_first=True)
        labels = torch.tensor([row["labels"] for row in rows])
        return {"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": labels}

    def trainer() -> transformers.Trainer:
        torch.manual_seed(1)
        sizes = {"dim": 16, "hidden_dim": 32, "n_layers": 1, "n_heads": 2, "max_position_embeddings": 16}
        config = transformers.DistilBertConfig(vocab_size=30, num_labels=3, **sizes)
        options = {"report_to": [], "save_strategy": "no", "use_cpu": True, "disable_tqdm": True}
        return transformers.Trainer(
            model=transformers.DistilBertForSequenceClassification(config).eval(),
            args=transformers.TrainingArguments(
                str(tmp_path),
                per_device_train_batch_size=4,
                gradient_accumulation_steps=accumulate,
                label_smoothing_factor=smoothing,
                num_train_epochs=1,
                **options,
            ),
            train_dataset=[{"input_ids": ids, "labels": int(ids[0]) % 3} for ids in texts],
            data_collator=padded,
        )

    tracked, plain = trainer(), trainer()
    tracker = track(tracked, every=2, batches=1, overhead=float("inf"))
    for one in (tracked, plain):
        torch.manual_seed(2)  # of dropout
        one.train()
    assert tracker.reason is None
    assert len(tracker.history) == (1 if accumulate == 1 else 2)
    assert {record.batch_size for record in tracker.history} == {4 * accumulate}
    assert tracker.history[0].covariance_trace.value > 0
    for own, other in zip(tracked.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(own, other)


class Logits(nn.Module):
    """A Hugging Face classifier as images -> logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(pixel_values=images).logits
