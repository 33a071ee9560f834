"""Measured gradient numbers, at some weights or along a training run -> their pages and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate
from effbatch.core.figures import Axis, Figure, Panel, Series, Table, figures, limits, noise_axis
from effbatch.core.formats import duration, estimate_text
from effbatch.core.pages import Note, Page, Part, page
from effbatch.measure.gradients import NetworkMoments
from effbatch.measure.measured import CONFIDENCE, SYMBOLS, MeasuredMoments
from effbatch.measure.tracker import NoiseScaleTracker

ALPHAS = tuple(2.0**k - 1 for k in range(7))  # 0, 1, 3, ... 63
NOISE_SCALE = Axis("noise scale, labelled copies", "log")


@page.register
def moments_page(
    measured: MeasuredMoments,
    *,
    of: str = "",
    read: str = "",
    alphas: Sequence[float] = (0, 1, 10),
    batch_size: int = 128,
    layers: Mapping[str, MeasuredMoments] | None = None,
) -> Page:
    """The five numbers, noise scale and effective batch size at each α; `of` which network and data, `read` so."""
    numbers = measured.numbers()
    at = [(a, measured.noise_scale(a), measured.effective_batch_size(a, batch_size)) for a in alphas]
    headings = ("α", "noise scale", f"effective batch (B = {batch_size})")
    five = [(SYMBOLS[name], found) for name, found in numbers.items()]
    of_what = measured.of_what.replace("examples", "training examples")
    parts: list[Part] = [
        Note(
            f"n = {measured.n:,} {of_what}; intervals of {100 * CONFIDENCE:g} % for the "
            f"population that they come from.{_overhead(measured) if isinstance(measured, NetworkMoments) else ''}"
        ),
        *([read] if read else []),
        Table("moments", "The five numbers, loss²/parameter²", ("", "value [interval]"), five),
        Table("at_alpha", "At α noisy labels per clean one, in labelled copies", headings, at, ("g",)),
    ]
    if layers:
        by_layer = {layer: one.numbers() for layer, one in layers.items()}
        rows = [(layer, SYMBOLS[name], by_layer[layer][name]) for name in SYMBOLS for layer in by_layer]
        parts.append(Table("layers", "By layer", ("layer", "", "value [interval]"), rows))
    found = [*numbers.values(), *(one for _, scale, batch in at for one in (scale, batch))]
    said = [one.reason for one in found if one.reason is not None]
    if isinstance(measured, NetworkMoments):
        said = [*measured.remarks, *said]
    alpha, scale, batch = at[-1]
    title = f"? {scale.reason}" if scale.value is None else f"noise scale {estimate_text(scale, n=False)}"
    if batch.value is not None:
        title += f"; a batch of {batch_size:,} counts as {estimate_text(batch, n=False)} clean labels"
    of = f" ({of})" if of else ""
    noisy = "If yours are noisy, `effbatch estimate` tells their α, `effbatch advise --labels noisy` a rate for them."
    return Page(
        f"At α = {alpha:g}, added to labels taken to be clean: {title}{of}. {noisy}",
        [*parts, *map(_sentence, dict.fromkeys(said))],
    )


def _overhead(measured: NetworkMoments) -> str:
    return (
        f" Took {duration(measured.seconds)}; without PyTorch's start, as long as {measured.epochs:.3g} epochs of "
        "training gradients on these examples."
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


@page.register
def tracker_page(tracker: NoiseScaleTracker) -> Page:
    """Every measurement of a run, with intervals and n."""
    rows = [
        (record.step, record.noise_scale, record.effective_batch_size, record.noise_scale.n)
        for record in tracker.history
    ]
    headings = ("step", "noise scale [95 % interval]", "effective batch", "n examples")
    parts: list[Part] = [Table("tracker", "", headings, rows)] if rows else []
    parts += [_sentence(tracker.reason)] if tracker.reason else []
    return Page(f"{tracker.steps} steps, {len(rows)} measurements", parts)


@figures.register
def moments_figures(measured: MeasuredMoments) -> list[Figure]:
    """Noise scale and B_eff/B at several α; InputError where n images tell neither."""
    scales = [measured.noise_scale(alpha) for alpha in ALPHAS]
    shares = [measured.effective_batch_size(alpha, 1) for alpha in ALPHAS]
    x, axis = ALPHAS, noise_axis(ALPHAS)
    counted = [
        _measured("measured", x, shares),
        Series("1/(1+α)², signal to noise", "rival", x, [1 / (1 + a) ** 2 for a in x]),
        Series("1/(1+α), clean labels", "rival", x, [1 / (1 + a) for a in x]),
    ]
    panels = [Panel(axis, NOISE_SCALE, [_measured("measured", x, scales)])] if _any(scales) else []
    panels += [Panel(axis, Axis("B_eff/B", "log"), counted)] if _any(shares[1:]) else []
    if not panels:
        raise InputError(f"a plot needs a noise scale, and there is none: {scales[0].reason}")
    unknown = sum(one.value is None for one in scales)
    left_out = f" At {unknown} of {len(x)} α they cannot tell the noise scale." * bool(unknown)
    caption = f"Gradients of n = {measured.n:,} {measured.of_what}, 95 % intervals.{left_out}"
    return [Figure("moments", caption, panels)]


@figures.register
def tracker_figures(tracker: NoiseScaleTracker) -> list[Figure]:
    """‖G‖², noise scale and, with an α, effective batch size at every measurement; InputError where there is none."""
    history = tracker.history
    if not history:
        raise InputError(
            f"a plot needs a measurement, and none is done after {tracker.steps} steps: make more steps, or give a "
            "smaller `every`"
        )
    scales = [record.noise_scale for record in history]
    batches = [record.effective_batch_size for record in history]
    kinds = [(Axis("‖G‖², loss²/parameter²"), [record.norm_squared for record in history])]
    kinds += [(NOISE_SCALE, scales)] * _any(scales) + [(Axis("effective batch size", "log"), batches)] * _any(batches)
    steps = [record.step for record in history]
    panels = [Panel(Axis("step"), axis, [_measured("measured", steps, found)]) for axis, found in kinds]
    told = sum(scale.value is not None for scale in scales)
    caption = (
        f"{told} of {len(history)} measurements tell a noise scale; elsewhere the interval of ‖G‖² reaches zero. Each "
        f"of n = {scales[-1].n:,} examples in batches of {history[-1].batch_size:,}; 95 % intervals."
    )
    return [Figure("tracker", caption, panels)]


def _measured(name: str, x: Sequence[float], estimates: Sequence[Estimate]) -> Series:
    return Series(name, "measured", x, [one.value for one in estimates], **limits([one.interval for one in estimates]))


def _any(estimates: Sequence[Estimate]) -> bool:
    return any(estimate.value is not None for estimate in estimates)
