"""Recipe, learning rate and steps -> the lines of PyTorch that train with them."""

from __future__ import annotations

import re
import textwrap
from math import ceil

from effbatch.plan.recipe import Recipe

WIDTH = 76  # columns, indented by four on a page of 80
_CLASSES = {
    "sgd": "SGD",
    "momentum": "SGD",
    "adam": "Adam",
    "adamw": "AdamW",
    "rmsprop": "RMSprop",
    "adadelta": "Adadelta",
}
_SCHEDULES = {  # as `schedules` has them
    "linear": "LinearLR(optimizer, start_factor=1, end_factor=0, total_iters={steps})",
    "cosine": "CosineAnnealingLR(optimizer, T_max={steps})",
    "step": "MultiStepLR(optimizer, milestones=[{half}, {three_quarters}])",
    "one_cycle": "OneCycleLR(optimizer, max_lr={rate}, total_steps={steps}, cycle_momentum=False)",
}
_WARMUP = "LinearLR(optimizer, start_factor=1 / {warmup}, total_iters={warmup} - 1)"

_TEMPLATE = """\
import torch
{imports}from torch.utils.data import DataLoader, RandomSampler

# in as many passes as it takes
images = RandomSampler(train_set, num_samples={steps} * {batch_size})
{asked}{optimizer}
{schedulers}for x, y in DataLoader(train_set, batch_size={batch_size}, sampler=images):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(network(x), y{smoothing}).backward()
{clip}    optimizer.step()
{scheduled}"""


def snippet(recipe: Recipe, rate: float | None, steps: int, *, factor: float | None = None) -> str:
    """A training loop over `train_set` with `network`; without a rate it asks for one, or for the one to multiply."""
    said, asked = (f"{rate:.3g}", "") if rate is not None else ("learning_rate", _asked(recipe, factor))
    module, _, function = recipe.optimizer.rpartition(":")
    lines = [_SCHEDULES[recipe.schedule]] if recipe.schedule in _SCHEDULES else []
    lines += [_WARMUP] if recipe.warmup else []
    numbers = {
        "steps": steps,
        "half": ceil(steps / 2),
        "three_quarters": ceil(3 * steps / 4),
        "rate": said,
        "warmup": ceil(recipe.warmup * steps - 1e-9),
    }
    lines = [f"lr_scheduler.{line.format(**numbers)}" for line in lines]
    imports = [f"from {module} import {function}\n"] if module else []
    imports += ["from torch.optim import lr_scheduler\n"] if lines else []
    if module:
        optimizer = f"optimizer = {function}(network.parameters(), {said})"
    else:
        options = ", ".join(["network.parameters()", f"lr={said}", *_options(recipe)])
        optimizer = f"optimizer = torch.optim.{_CLASSES[recipe.optimizer]}({options})"
    norm = f"    torch.nn.utils.clip_grad_norm_(network.parameters(), {recipe.clip})\n"
    return _TEMPLATE.format(
        imports="".join(imports),
        steps=steps,
        batch_size=recipe.batch_size,
        asked=asked,
        optimizer=_broken(optimizer),
        schedulers=_broken("schedulers = [" + ", ".join(lines) + "]") + "\n" if lines else "",
        smoothing=f", label_smoothing={recipe.label_smoothing:g}" if recipe.label_smoothing else "",
        clip=norm if recipe.clip is not None else "",
        scheduled="    for scheduler in schedulers:\n        scheduler.step()\n" if lines else "",
    )


def _asked(recipe: Recipe, factor: float | None) -> str:
    """The line that asks for the rate that is not known."""
    if factor is None:
        return 'learning_rate = float(input("Learning rate: "))\n'
    question = f"Rate on clean labels, B = {recipe.batch_size}: "
    return f'learning_rate = {factor:.3g} * float(input("{question}"))\n'


def _options(recipe: Recipe) -> list[str]:
    options = [f"momentum={recipe.momentum:g}"] if recipe.momentum_used else []
    options += ["nesterov=True"] if recipe.nesterov else []
    return options + ([f"weight_decay={recipe.weight_decay:g}"] if recipe.weight_decay else [])


def _broken(code: str) -> str:
    """One line of code with brackets, or as many as keep it within the width, parted behind commas."""
    whole = re.sub("(?<!,) ", "\u00a0", code)
    return textwrap.fill(whole, WIDTH, subsequent_indent="    ", break_long_words=False).replace("\u00a0", " ")
