"""Recipe, learning rate and steps -> the lines of PyTorch that train with them."""

from __future__ import annotations

from math import ceil

from effbatch.advice.recommendation import Recommendation
from effbatch.plan.recipe import Recipe

_CLASSES = {
    "sgd": "SGD",
    "momentum": "SGD",
    "adam": "Adam",
    "adamw": "AdamW",
    "rmsprop": "RMSprop",
    "adadelta": "Adadelta",
}
_SCHEDULES = {  # as `schedules` has them
    "cosine": "CosineAnnealingLR(optimizer, T_max={steps})",
    "step": "MultiStepLR(optimizer, milestones=[{half}, {three_quarters}])",
    "one_cycle": "OneCycleLR(optimizer, max_lr={rate}, total_steps={steps}, cycle_momentum=False)",
}
_WARMUP = "LinearLR(optimizer, start_factor=1 / {warmup}, total_iters={warmup} - 1)"

_TEMPLATE = """\
import torch
from torch.utils.data import DataLoader, RandomSampler

# in as many passes as it takes
images = RandomSampler(train_set, num_samples={steps} * {batch_size})
optimizer = torch.optim.{optimizer}(network.parameters(), {options})
{schedulers}for x, y in DataLoader(train_set, batch_size={batch_size}, sampler=images):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(network(x), y{smoothing}).backward()
{clip}    optimizer.step()
{scheduled}"""


def snippet(recipe: Recipe, chosen: Recommendation, steps: int) -> str:
    """A training loop over `train_set` with `network`; without a rate, a factor on one that the user has tuned."""
    rate = f"{chosen.value:.3g}" if chosen.value is not None else f"{chosen.factor:.3g} * clean_learning_rate"
    options = [f"lr={rate}"]
    options += [f"momentum={recipe.momentum:g}"] if recipe.momentum_used else []
    options += ["nesterov=True"] if recipe.nesterov else []
    options += [f"weight_decay={recipe.weight_decay:g}"] if recipe.weight_decay else []
    lines = [_SCHEDULES[recipe.schedule]] if recipe.schedule in _SCHEDULES else []
    lines += [_WARMUP] if recipe.warmup else []
    numbers = {
        "steps": steps,
        "half": ceil(steps / 2),
        "three_quarters": ceil(3 * steps / 4),
        "rate": rate,
        "warmup": ceil(recipe.warmup * steps - 1e-9),
    }
    lines = [f"torch.optim.lr_scheduler.{line.format(**numbers)}" for line in lines]
    norm = f"    torch.nn.utils.clip_grad_norm_(network.parameters(), {recipe.clip})\n"
    return _TEMPLATE.format(
        steps=steps,
        batch_size=recipe.batch_size,
        optimizer=_CLASSES[recipe.optimizer],
        options=", ".join(options),
        schedulers=f"schedulers = [{', '.join(lines)}]\n" if lines else "",
        smoothing=f", label_smoothing={recipe.label_smoothing:g}" if recipe.label_smoothing else "",
        clip=norm if recipe.clip is not None else "",
        scheduled="    for scheduler in schedulers:\n        scheduler.step()\n" if lines else "",
    )
