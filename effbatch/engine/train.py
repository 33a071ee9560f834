"""A unit -> its trained networks' accuracies and losses: all members take each step together.

Members that share a seed see the same images; their labels, learning rates and weights are their own. Nothing
couples two members, so a diverged one is frozen and marked without touching the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Lock

import numpy as np
import torch
from torch import Tensor, nn

from effbatch import noise
from effbatch.core.errors import InputError
from effbatch.data.dataset import DataSet
from effbatch.engine import graphs
from effbatch.engine.arithmetic import exact_float32
from effbatch.engine.dense import DenseNetwork
from effbatch.engine.ensembles import SequentialMembers, ensemble
from effbatch.engine.moments_along import MEASURES
from effbatch.engine.optimizers import OPTIMIZERS, SGD, Optimizer
from effbatch.engine.parts import (
    images_that_fit,
    joined,
    members_per_part,
    members_that_fit,
    outputs_per_image,
    parts,
    shared_cells,
)
from effbatch.engine.visits import Stream
from effbatch.networks.loading import load_network
from effbatch.noise.foreign import images_to_show
from effbatch.plan.cube import METRICS, Outcome, measurements
from effbatch.plan.label_noise import noise_matrices
from effbatch.plan.spec import Train
from effbatch.plan.units import Unit
from effbatch.theory.schedules import multipliers

WIDE = 300_000  # numbers that the layers of a unit give out in a step, from which on several threads share one
WINDOW = 32  # images that the first layer of `DenseNetwork` sees at once, see docs/notes/engine-speed.md
BLOCK_LABELS = 2_000_000  # labels drawn at once: bounds memory, makes the drawing's overhead vanish

HISTORY_SEED = 0  # of the test images that histories are taken on

# variables of the cube: arrays (alpha, learning_rate, seed), the histories with (checkpoint) behind
Trained = dict[str, np.ndarray]
TrainedParts = list[tuple[Unit, Trained]]


def pick_device(name: str = "auto") -> torch.device:
    """`auto` is the GPU where PyTorch finds one, else the CPU. InputError where `cuda` is asked for in vain."""
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise InputError(
            "device cuda was asked for, but PyTorch finds no GPU here; use --device auto, or `effbatch doctor`"
        )
    return torch.device(("cuda" if found else "cpu") if name == "auto" else name)


def train(
    unit: Unit,
    dataset: DataSet,
    *,
    device: torch.device,
    on_steps: Callable[[int], None] = lambda model_steps: None,
    on_evaluations: Callable[[int], None] = lambda cells: None,
) -> Trained:
    """Train every cell of `unit`; `on_steps` is told the model-steps done since it was last told.

    `on_evaluations` is told how many cells have just been evaluated, and 0 when a part is set up.

    The unit is trained in parts that fit the caches or the GPU's memory, on a CPU as many at once as PyTorch has
    threads; of the parts of a larger whole, only those that cells of this unit are in. A part that does not fit the
    memory is halved and begun again, and both are told what this undoes, as a negative number. InputError where not
    even one member fits, or the network does not fit the data set.
    """
    shape, K = dataset.image_shape, dataset.num_classes
    whole = unit.whole
    networks = {seed: load_network(unit.train.network, shape, K, seed=seed).float() for seed in whole.seeds}
    one = networks[whole.seeds[0]]
    outputs = outputs_per_image(one, torch.as_tensor(dataset.x_test[:1]), K)
    stopping, telling = Event(), Lock()

    def train_part(part: Unit) -> TrainedParts:
        if not (asked := shared_cells(part, unit)):
            return []
        told = dict.fromkeys((on_steps, on_evaluations), 0)

        def tell(who: Callable[[int], None], number: int) -> None:
            told[who] += number
            with telling:
                who(number)

        try:
            run = _Run(part, dataset, device, [networks[seed] for seed in part.seeds], outputs)
            tell(on_evaluations, 0)
            arrays = run.trained(
                lambda steps: tell(on_steps, steps * asked), lambda: tell(on_evaluations, asked), stopping
            )
            return [(part, arrays)]
        except torch.OutOfMemoryError as error:
            if part.cells == 1:
                raise InputError(
                    f"one network {unit.train.network} with batch size {unit.batch_size} needs more memory than "
                    f"{device} has free; lower the batch size, or train on the CPU with --device cpu"
                ) from error
        for who, number in told.items():
            tell(who, -number)
        return [trained for half in parts(part, part.cells // 2) for trained in train_part(half)]

    threads = torch.get_num_threads() if device.type == "cpu" else 1
    fitting = members_that_fit(one, outputs, unit.batch_size, device)
    todo = parts(whole, members_per_part(whole.cells, fitting, threads))
    workers = min(threads, len(todo))
    small = outputs * unit.batch_size * whole.cells < WIDE  # threads would wait for each other longer than they work
    with exact_float32(), _threads_within(1 if workers > 1 or small else None):
        done = _done(todo, train_part, workers, stopping)
    return joined(unit, [trained for of_part in done for trained in of_part])


def _done(
    todo: Sequence[Unit], train_part: Callable[[Unit], TrainedParts], workers: int, stopping: Event
) -> list[TrainedParts]:
    """All parts trained, by so many at once; one alone needs no thread of its own."""
    if workers == 1:
        return [train_part(part) for part in todo]
    with ThreadPoolExecutor(workers) as pool:
        try:
            return list(pool.map(train_part, todo))
        except BaseException:
            stopping.set()
            raise


@contextmanager
def _threads_within(operations: int | None) -> Iterator[None]:
    """PyTorch's threads within one operation, for a while; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(operations or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Run:
    """The state of one part of a unit in training: weights, optimiser, streams, and who is still alive."""

    def __init__(
        self, unit: Unit, dataset: DataSet, device: torch.device, networks: Sequence[nn.Module], outputs: int
    ) -> None:
        self.unit, self.dataset, self.device = unit, dataset, device
        self.K = dataset.num_classes
        A, L, S = len(unit.alphas), len(unit.learning_rates), len(unit.seeds)
        few = torch.as_tensor(dataset.x_test[:4], device=device)
        self.network = ensemble(networks, A * L, device, seeds=unit.seeds, images=few, num_classes=self.K)
        self.test_chunk = images_that_fit(outputs, unit.cells, device)
        self.optimizer = OPTIMIZERS[unit.train.optimizer](self.network.parameters, unit.train)
        self.descending = None  # the network, where its steps need no gradients
        if isinstance(self.network, DenseNetwork) and _is_plain(self.optimizer):
            self.descending = self.network
        self.schedule = multipliers(unit.train.schedule, unit.steps, warmup=unit.train.warmup)
        shown, foreign = images_to_show(unit.data.source, dataset, device)
        self.x_train = self._rows(shown) if isinstance(shown, Tensor) else shown
        self.x_test = self._rows(torch.as_tensor(dataset.x_test, device=device))
        self.y_test = torch.as_tensor(dataset.y_test, device=device)
        self.history_images = history_images(unit.train, dataset)
        self.test_order = torch.as_tensor(test_order(len(self.x_test), self.history_images), device=device)
        y_train = torch.as_tensor(dataset.y_train, device=device)
        matrices = noise_matrices(unit.data, dataset, unit.alphas)
        self.stream = Stream(
            unit.data,
            y_train,
            self.K,
            alphas=unit.alphas,
            seeds=unit.seeds,
            batch_size=unit.batch_size,
            noise_matrices=matrices,
            foreign_images=foreign,
        )
        self.soft_targets = None
        if unit.data.copies == "expected":
            uniform = np.full((self.K, self.K), 1 / self.K)
            rows = noise.expected_targets(unit.alphas, uniform if matrices is None else matrices)
            self.soft_targets = torch.as_tensor(rows, dtype=torch.float32, device=device)
        self.minus_one = torch.full((1,), -1.0, device=device).expand(S, A, L, 1, unit.batch_size)
        rates = torch.tensor(unit.learning_rates, dtype=torch.float32, device=device)
        self.learning_rate = rates.repeat(A).expand(S, A * L).clone()
        self.alive = torch.ones(S, A * L, dtype=torch.bool, device=device)
        self.log_likelihood = torch.zeros(S, A, L, 1, unit.batch_size, device=device)  # sum over `loss_steps`
        self.loss_steps = 0
        self.window = max(1, WINDOW // unit.batch_size) if self.descending is not None else 1
        self.block_steps = self.window * max(1, BLOCK_LABELS // (S * A * unit.batch_size * self.window))
        capture = graphs.capture_on(device)
        fixed = not isinstance(self.network, SequentialMembers) and self.optimizer.replayable
        self.take: dict[int, Callable[..., None]] = {  # by number of steps
            steps: graphs.Replayed(self._take, capture) if capture and fixed else self._take
            for steps in {1, self.window}
        }

    def trained(self, on_steps: Callable[[int], None], on_evaluation: Callable[[], None], stopping: Event) -> Trained:
        """What comes of all steps and evaluations; it is told of steps, and of every evaluation."""
        records = []
        done = 0
        for checkpoint in self.unit.checkpoints:
            while done < checkpoint:
                last = min(checkpoint, done + self.block_steps)
                self.steps(done, last, stopping)
                on_steps(last - done)
                done = last
            records.append(self.evaluate() | self.measure(checkpoint, stopping))
            on_evaluation()
        at_end = {name: records[-1][name] for name in METRICS}
        if self.history_images < len(self.x_test):
            at_end |= self.test()
        return self._by_cell(at_end, records)

    def steps(self, first: int, last: int, stopping: Event) -> None:
        """Take the steps first … last − 1, unless another part has failed."""
        visits = self.stream.block(first, last)
        images = visits.image.transpose(1, 2)
        labels = visits.label[:, :, :, None, None].expand(-1, *self.minus_one.shape)
        factors = torch.as_tensor(self.schedule[first:last], dtype=torch.float32, device=self.device)
        rates = factors.view(-1, 1, 1) * self.learning_rate
        windows, left = divmod(last - first, self.window)
        lengths = [self.window] * windows + [1] * left
        of_windows = (values.split(lengths) for values in (images, labels, rates))
        with torch.inference_mode(isinstance(self.network, DenseNetwork)):  # it needs nothing of autograd
            for length, *inputs in zip(lengths, *of_windows, strict=True):
                if stopping.is_set():
                    raise CancelledError
                self.take[length](*inputs)
        self.loss_steps += last - first

    def _take(self, index: Tensor, label: Tensor, rate: Tensor) -> None:
        """Steps on the images `index` (steps, B, S) of the training set, with labels (steps, S, A, L, 1, B).

        `rate` is (steps, S, M). Only plain descent takes more than one step at once.
        """
        x, (steps, B, S) = self.x_train, index.shape
        rows = x.index_select(0, index.flatten()) if isinstance(x, Tensor) else self._rows(x[index.flatten()])
        images = self._images(rows, steps * B, S)
        if self.descending is not None:
            factors = rate[..., None, None] / -B
            self.descending.descend(images, steps, lambda t, logits: self._slope(logits, label[t]).mul_(factors[t]))
            return
        logits = self.network(images)
        gradients = self.network.gradients(logits, self._slope(logits.detach(), label[0]).div_(B))
        with torch.no_grad():
            self.optimizer.step(gradients, rate[0])

    def _rows(self, images: Tensor) -> Tensor:
        """(n, C, H, W) -> (n, pixels), in the order of memory that suits the network."""
        return (images.movedim(1, -1) if self.network.channels_last else images).flatten(1)

    def _images(self, rows: Tensor, B: int, G: int) -> Tensor:
        """Rows of pixels (B·G, pixels) as images (B, G, C, H, W)."""
        C, H, W = self.dataset.image_shape
        if self.network.channels_last:
            return rows.view(B, G, H, W, C).permute(0, 1, 4, 2, 3)
        return rows.view(B, G, C, H, W)

    def _slope(self, logits: Tensor, label: Tensor) -> Tensor:
        """The slope (S, M, K, B) of the cross-entropies in the logits, softmax − target; adds to `log_likelihood`."""
        log_p = logits.log_softmax(dim=2).view(*label.shape[:3], *logits.shape[2:])
        if self.soft_targets is None:
            self.log_likelihood += log_p.gather(3, label)
            return log_p.exp_().scatter_add_(3, label, self.minus_one).view(logits.shape)
        A = torch.arange(label.shape[1], device=label.device).view(1, -1, 1)
        target = self.soft_targets[A, label[:, :, 0, 0]].movedim(-1, 2).unsqueeze(2)  # (S, A, 1, K, B)
        self.log_likelihood += (target * log_p).sum(3, keepdim=True)
        return log_p.exp_().sub_(target).view(logits.shape)

    @torch.no_grad()
    def evaluate(self) -> dict[str, np.ndarray]:
        """Test accuracy, test loss, mean training loss since the last call, each (S, M); freezes the diverged."""
        train_loss = self.log_likelihood.sum((3, 4)).flatten(1) / (-self.unit.batch_size * self.loss_steps)
        accuracy, loss = self._test(self.history_images)
        self._freeze(train_loss + loss)
        self.log_likelihood.zero_()
        self.loss_steps = 0
        return self._of_the_alive({"test_accuracy": accuracy, "test_loss": loss, "train_loss": train_loss})

    @torch.no_grad()
    def test(self) -> dict[str, np.ndarray]:
        """Accuracy and loss on the whole test set, each (S, M); freezes the diverged."""
        accuracy, loss = self._test(len(self.x_test))
        self._freeze(loss)
        return self._of_the_alive({"test_accuracy": accuracy, "test_loss": loss})

    def _test(self, images: int) -> tuple[Tensor, Tensor]:
        """Accuracy and loss on the first `images` of the test set, each (S, M)."""
        correct, loss = torch.zeros(2, *self.alive.shape, device=self.device)
        for start in range(0, images, self.test_chunk):
            chosen = self.test_order[start : min(start + self.test_chunk, images)]
            rows, y = self.x_test[chosen], self.y_test[chosen]
            log_p = self.network(self._images(rows, len(rows), 1), training=False).log_softmax(dim=2)
            correct += (log_p.max(dim=2).indices == y).sum(-1)
            loss -= log_p.gather(2, y.expand(*log_p.shape[:2], 1, -1)).sum((2, 3))
        return correct / images, loss / images

    def _of_the_alive(self, values: dict[str, Tensor]) -> dict[str, np.ndarray]:
        return {name: value.masked_fill(~self.alive, torch.nan).cpu().numpy() for name, value in values.items()}

    def measure(self, step: int, stopping: Event) -> dict[str, np.ndarray]:
        """What [train] measure asks for, each (S, M), of the members that are alive; NaN of the others."""
        values = {name: np.full(self.alive.shape, np.nan) for name in measurements(self.unit.train.measure)}
        for kind in self.unit.train.measure:
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


def history_images(train: Train, dataset: DataSet) -> int:
    """Test images that histories are taken on."""
    images = len(dataset.x_test)
    return min(train.history_images or images, images)


def test_order(images: int, first: int) -> np.ndarray:
    """Indices of all test images, `first` of them drawn to be the first."""
    drawn = np.random.Generator(np.random.PCG64(HISTORY_SEED)).permutation(images)
    return np.concatenate([np.sort(drawn[:first]), np.sort(drawn[first:])])
