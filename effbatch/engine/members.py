"""A part of a unit -> its networks' accuracies and losses: all members take each step together.

Members that share a seed see the same images; their labels, learning rates and weights are their own. Nothing couples
two members, so a diverged one is frozen and marked without touching the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from threading import Event

import numpy as np
import torch
from torch import Tensor, nn

from effbatch import noise
from effbatch.data.dataset import DataSet
from effbatch.engine import graphs
from effbatch.engine.cost import cost_of
from effbatch.engine.dense import DenseNetwork
from effbatch.engine.ensembles import ensemble
from effbatch.engine.evaluation import Evaluation, WrongLabels
from effbatch.engine.images import Images
from effbatch.engine.loss import CrossEntropies, ForwardCorrected, GeneralisedCrossEntropies
from effbatch.engine.moments_along import moments_along
from effbatch.engine.optimizers import SGD, Optimizer, clipped, optimizer_of
from effbatch.engine.parts import images_that_fit
from effbatch.engine.visits import Stream
from effbatch.noise.foreign import images_to_show
from effbatch.noise.given import TWINS
from effbatch.plan.cube import METRICS, Outcome, measurements
from effbatch.plan.label_noise import noise_matrices
from effbatch.plan.units import Unit
from effbatch.theory.schedules import multipliers

WINDOW = 32  # images that the first layer of `DenseNetwork` sees at once, see docs/notes/engine-speed.md
BLOCK_LABELS = 2_000_000  # labels drawn at once: bounds memory, makes the drawing's overhead vanish

MEASURES = {"moments": moments_along}  # by the names of `cube.MEASURED`, of each member; the others are evaluated

# variables of the cube: arrays (alpha, learning_rate, seed), the histories with (checkpoint) behind
Trained = dict[str, np.ndarray]


class Members:
    """The members of one part in training: weights, optimiser, streams, and who is still alive.

    `networks` are one per seed; `outputs` the numbers that the layers of one give out for an image; `matrices` N of
    every α, where the unit does not say them.
    """

    def __init__(
        self,
        unit: Unit,
        dataset: DataSet,
        device: torch.device,
        networks: Sequence[nn.Module],
        *,
        outputs: int,
        matrices: np.ndarray | None = None,
    ) -> None:
        self.unit, self.dataset, self.device = unit, dataset, device
        A, L, S = map(len, unit.axes)
        few = torch.as_tensor(dataset.x_test[:4], device=device)
        self.network = ensemble(
            networks,
            A * L,
            device,
            seeds=unit.seeds,
            images=few,
            num_classes=dataset.num_classes,
            outputs=outputs * unit.batch_size,
            precision=unit.train.precision,
        )
        self.optimizer: Optimizer = optimizer_of(self.network.parameters, unit.train)
        self.schedule = multipliers(unit.train.schedule, unit.steps, warmup=unit.train.warmup)
        rates = torch.tensor(unit.learning_rates, dtype=torch.float32, device=device)
        self.learning_rate = rates.repeat(A).expand(S, A * L).clone()
        self.alive = torch.ones(S, A * L, dtype=torch.bool, device=device)
        self._see(noise_matrices(unit.data, dataset, unit.alphas) if matrices is None else matrices)
        self.chunk = chunk = images_that_fit(outputs, 1 if self.network.in_turn else unit.cells, device)
        self.evaluation = Evaluation(dataset, unit.train, device, chunk=chunk, channels_last=self.network.channels_last)
        self.calibrated = "calibrated_loss" in unit.train.measure
        self.cost = cost_of(unit, dataset)
        self._plan_steps()

    def _see(self, matrices: np.ndarray | None) -> None:
        """The images and labels that the unit's [data] ask for."""
        unit, dataset, device = self.unit, self.dataset, self.device
        shown, foreign = images_to_show(unit.data.source, dataset, device)
        self.images = Images(shown, dataset.image_shape, channels_last=self.network.channels_last)
        K = dataset.num_classes
        self.stream = Stream(
            unit.data,
            torch.as_tensor(dataset.clean_labels if unit.data.noise in TWINS else dataset.y_train, device=device),
            K,
            alphas=unit.alphas,
            seeds=unit.seeds,
            batch_size=unit.batch_size,
            noise_matrices=matrices,
            foreign_images=foreign,
        )
        self.wrong_labels = None  # where it is asked how many of them are memorised
        if "memorised" in unit.train.measure:
            self.wrong_labels = WrongLabels(self.stream, torch.as_tensor(dataset.clean_labels, device=device))
        self.loss = self._loss(np.full((K, K), 1 / K) if matrices is None else matrices)

    def _loss(self, matrices: np.ndarray) -> CrossEntropies:
        """That of the unit's [train], over labels of these N."""
        unit, train = self.unit, self.unit.train
        (A, L, S), rows, smoothing = map(len, unit.axes), None, train.label_smoothing
        size = (S, A, L), unit.batch_size
        if train.loss == "gce":
            return GeneralisedCrossEntropies(*size, None, self.device)
        if train.loss == "forward" or unit.data.copies == "expected":
            rows = noise.expected_targets(unit.alphas, matrices)
        if smoothing:  # 1 − ε of a target is what it was, and all classes share ε (Szegedy et al., 2016)
            rows = (1 - smoothing) * (np.tile(np.eye(matrices.shape[-1]), (A, 1, 1)) if rows is None else rows)
            rows += smoothing / matrices.shape[-1]
        of_labels = None if rows is None else torch.as_tensor(rows, dtype=torch.float32, device=self.device)
        if train.loss == "forward":
            assert of_labels is not None
            return ForwardCorrected(*size, of_labels, self.device)
        return CrossEntropies(*size, of_labels, self.device)

    def _plan_steps(self) -> None:
        """How many steps are drawn at once (a block), and how many of these are taken at once (a window)."""
        self.descending = None  # the network, where its steps need no gradients
        if isinstance(self.network, DenseNetwork) and _is_plain(self.optimizer) and self.unit.train.clip is None:
            self.descending = self.network
        B, (A, _, S) = self.unit.batch_size, map(len, self.unit.axes)
        self.window = max(1, WINDOW // B) if self.descending is not None else 1
        self.block_steps = self.window * max(1, BLOCK_LABELS // (S * A * B * self.window))
        capture = graphs.capture_on(self.device)
        fixed = self.network.replayable and self.optimizer.replayable
        self.replayed: dict[int, Callable[..., None]] = {}  # by number of steps, where they are
        if capture and fixed:
            self.replayed = {steps: graphs.Replayed(self._take, capture) for steps in {1, self.window}}

    def trained(self, on_copies: Callable[[float], None], stopping: Event) -> Trained:
        """What comes of all steps and evaluations; it is told of both, as the `Cost` of one cell counts them."""
        records = []
        done = since = 0
        for checkpoint in self.unit.checkpoints:
            while done < checkpoint:
                last = min(checkpoint, done + self.block_steps)
                self.steps(done, last, stopping)
                on_copies((last - done) * self.cost.step)
                done = last
            records.append(self.evaluate(done - since) | self.measure(checkpoint, stopping))
            on_copies(self.cost.evaluation)
            since = done
        at_end = {name: records[-1][name] for name in METRICS}
        if len(self.evaluation.along_run) < len(self.evaluation.everything):
            at_end |= self.test()
        on_copies(self.cost.end)
        self.replayed.clear()  # they hold the members, and so their memory until a garbage collection
        return self._by_cell(at_end, records)

    def steps(self, first: int, last: int, stopping: Event) -> None:
        """Take the steps first … last − 1, unless another part has failed."""
        visits = self.stream.block(first, last)
        images = visits.image.transpose(1, 2)
        labels = self.loss.labels(visits.label)
        factors = torch.as_tensor(self.schedule[first:last], dtype=torch.float32, device=self.device)
        rates = factors.view(-1, 1, 1) * self.learning_rate
        windows, left = divmod(last - first, self.window)
        lengths = [self.window] * windows + [1] * left
        of_windows = (values.split(lengths) for values in (images, labels, rates))
        with torch.inference_mode(isinstance(self.network, DenseNetwork)):  # it needs nothing of autograd
            for length, *inputs in zip(lengths, *of_windows, strict=True):
                if stopping.is_set():
                    raise CancelledError
                self.replayed.get(length, self._take)(*inputs)

    def _take(self, index: Tensor, label: Tensor, rate: Tensor) -> None:
        """Steps on the images `index` (steps, B, S) of the training set, with labels (steps, S, A, L, 1, B).

        `rate` is (steps, S, M). Only plain descent takes more than one step at once.
        """
        steps, B, S = index.shape
        images = self.images.batch(index.flatten(), S)
        if self.descending is not None:
            factors = rate[..., None, None] / -B
            self.descending.descend(images, steps, lambda t, logits: self.loss.slope(logits, label[t]).mul_(factors[t]))
            return
        logits = self.network(images)
        gradients = self.network.gradients(logits, self.loss.slope(logits.detach(), label[0]).div_(B))
        with torch.no_grad():
            if self.unit.train.clip is not None:
                gradients = clipped(gradients, self.unit.train.clip)
            self.optimizer.step(gradients, rate[0])

    @torch.no_grad()
    def evaluate(self, steps: int) -> dict[str, np.ndarray]:
        """Test accuracy, test loss, mean training loss of the last `steps`, each (S, M), and what else is asked for.

        It freezes the diverged.
        """
        train_loss = self.loss.mean_of(steps)
        found = self.evaluation.scores(self.network, self.evaluation.along_run, calibrated=self.calibrated)
        if self.wrong_labels is not None:
            found["memorised"] = self.wrong_labels.repeated(self.network, self.images, self.chunk)
        self._freeze(train_loss + found["test_loss"])
        return self._of_the_alive({**found, "train_loss": train_loss})

    @torch.no_grad()
    def test(self) -> dict[str, np.ndarray]:
        """Accuracy and loss on the whole test set, each (S, M); freezes the diverged."""
        found = self.evaluation.scores(self.network, self.evaluation.everything)
        self._freeze(found["test_loss"])
        return self._of_the_alive(found)

    def _of_the_alive(self, values: dict[str, Tensor]) -> dict[str, np.ndarray]:
        return {name: value.masked_fill(~self.alive, torch.nan).cpu().numpy() for name, value in values.items()}

    def measure(self, step: int, stopping: Event) -> dict[str, np.ndarray]:
        """What [train] measure asks for, each (S, M), of the members that are alive; NaN of the others."""
        kinds = [kind for kind in self.unit.train.measure if kind in MEASURES]
        values = {name: np.full(self.alive.shape, np.nan) for name in measurements(kinds)}
        for kind in kinds:
            for s, m in self.alive.nonzero().tolist():
                if stopping.is_set():
                    raise CancelledError
                found = MEASURES[kind](
                    self.network.member(s, m),
                    self.dataset,
                    clean_examples=self.stream.examples,
                    alpha=self.unit.alphas[m // len(self.unit.learning_rates)],
                    seed=self.unit.seeds[s],
                    step=step,
                )
                for name, value in found.items():
                    values[name][s, m] = value
        return values

    def _freeze(self, loss: Tensor) -> None:
        """Stop the members whose loss is not finite: rate and weights to zero (NaN is lasting, so none is missed)."""
        self.alive &= loss.isfinite()
        dead = ~self.alive
        self.learning_rate.masked_fill_(dead, 0.0)
        for w in self.network.parameters:
            w.masked_fill_(dead.view(*dead.shape, *[1] * (w.ndim - 2)), 0.0)

    def _by_cell(self, at_end: dict[str, np.ndarray], records: Sequence[dict[str, np.ndarray]]) -> Trained:
        A, L, S = map(len, self.unit.axes)

        def by_cell(values: np.ndarray) -> np.ndarray:  # (..., S, M) -> (A, L, S, ...)
            return np.moveaxis(values.reshape(*values.shape[:-2], S, A, L), (-2, -1, -3), (0, 1, 2))

        alive = by_cell(self.alive.cpu().numpy())
        outcome = np.where(alive, int(Outcome.FINISHED), int(Outcome.DIVERGED)).astype(np.int8)
        last = {name: by_cell(values) for name, values in at_end.items()}
        histories = {f"{name}_history": by_cell(np.stack([r[name] for r in records])) for name in records[0]}
        return {"outcome": outcome, **last, **histories}


def _is_plain(optimizer: Optimizer) -> bool:
    """Whether this is w ← w − η g: SGD with every option (momentum, ...) at zero and no memory of former steps."""
    return type(optimizer) is SGD and not any(v for name, v in vars(optimizer).items() if name != "parameters")
