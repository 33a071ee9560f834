"""Model-steps per second of three ways to train many small networks, side by side in one process.

A plain PyTorch loop over one network, the ensembling recipe of `torch.func` (functional_call, vmap, grad), and
effbatch. Repeats are interleaved, so that another job on the machine slows all three, and ratios are taken within a
repeat. Steps alone are timed, labels drawn and images fetched; building networks is not, in any of the three. The first
two ways count with one thread where that is faster.

python benchmarks/throughput.py            # two threads, on a quiet machine; ten minutes
python benchmarks/throughput.py --quick    # prints six rows and writes nothing; a few minutes
python benchmarks/throughput.py --whole    # measures only the convolutions on whole images anew; five minutes

Beside them stand the bare products: the matrix products of a step of linear layers and nothing else, on as many members
at once as the engine takes, in every thread. No way that takes one step at a time can be faster.

Convolutions on images of 28x28 and 32x32 have a table of their own: the plain loop there has channels last where that
is faster, and effbatch trains in float32 and in bfloat16.

It writes results/throughput.json and .md.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import product
from math import ceil
from pathlib import Path
from threading import get_ident
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from effbatch.data.dataset import DataSet
from effbatch.engine.device import threads_within
from effbatch.engine.members import Members
from effbatch.engine.parts import members_per_part, members_that_fit, outputs_per_image
from effbatch.engine.train import train_unit
from effbatch.networks import zoo
from effbatch.plan.spec import Data, Train
from effbatch.plan.units import Unit
from effbatch.sweep.provenance import environment

RESULTS = Path(__file__).parent / "results"
CPU, THREADS = torch.device("cpu"), 2
REPEATS, SECONDS, LEAST_STEPS = 5, 0.15, 4  # of work in every timed run, roughly
UNIT_STEPS = 50  # least of a unit, whose parts all begin with cold caches; nearly all built-in settings take more
BATCH_SIZES = (8, 32, 128)
CASES = {  # network: side of the images, members trained together
    "mlp1": (14, (1, 100, 400)),
    "conv2": (14, (1, 10)),
    "mlp2": (14, (1, 100)),
    "conv4": (14, (10,)),
    "resnet18": (8, (1, 4)),
}
WHOLE = {"conv2": (28, 1, 10), "conv4": (28, 1, 10), "resnet8gn": (32, 3, 4)}  # network: side, channels, members
WHOLE_BATCH_SIZES = (8, 128)
QUICK = [*product(("mlp1",), (8, 128), (1, 100)), *product(("conv2",), (8, 128), (10,))]  # network, batch size, members
RATE = 0.01
Steps = Callable[[int], None]  # takes so many steps
Timed = Callable[[int], float]  # takes so many steps and tells how many seconds they took


def plain_loop(
    network: nn.Module, x: Tensor, y: Tensor, index: Tensor, layout: torch.memory_format = torch.contiguous_format
) -> Steps:
    """One network, one step at a time, by torch.optim.SGD."""
    network, x = network.to(memory_format=layout), x.to(memory_format=layout)
    optimizer = torch.optim.SGD(network.parameters(), RATE)

    def run(steps: int) -> None:
        for i in index[torch.arange(steps) % len(index)]:
            optimizer.zero_grad()
            cross_entropy(network(x[i]), y[i]).backward()
            optimizer.step()

    return run


def torch_func(built: list[nn.Module], x: Tensor, y: Tensor, index: Tensor) -> Steps:
    """Model ensembling as in the PyTorch tutorial; members share the images and have labels of their own."""
    weights, _ = stack_module_state(built)
    weights = {name: w.detach() for name, w in weights.items()}
    labels = torch.stack([y.roll(i) for i in range(len(built))])

    def loss(weights: dict[str, Tensor], images: Tensor, label: Tensor) -> Tensor:
        return cross_entropy(functional_call(built[0], weights, (images,)), label)

    gradient = vmap(grad(loss), in_dims=(0, None, 0))

    def run(steps: int) -> None:
        nonlocal weights
        for i in index[torch.arange(steps) % len(index)]:
            slope = gradient(weights, x[i], labels[:, i])
            weights = {name: w - RATE * slope[name] for name, w in weights.items()}

    return run


def effbatch_unit(
    network: str,
    data: DataSet,
    batch_size: int,
    members: int,
    *,
    device: torch.device = CPU,
    precision: str = "float32",
    of: str = "steps",
) -> Timed:
    """`train_unit` on a unit of one seed; the time of its `steps`, or of another method, in the busiest thread."""
    rates = min(members, 10)
    unit = Unit(
        point={}, data=Data(dataset=data.name), train=Train(network=network, precision=precision),
        batch_size=batch_size, steps=1, checkpoints=(1,),
        alphas=tuple(float(a) for a in range(members // rates)),
        learning_rates=tuple(RATE / (1 + r) for r in range(rates)), seeds=(0,),
    )  # fmt: skip
    method = getattr(Members, of)
    seconds: Counter[int] = Counter()

    def clocked(*arguments: Any) -> Any:
        began = perf_counter()
        found = method(*arguments)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds[get_ident()] += perf_counter() - began
        return found

    def run(steps: int) -> float:
        seconds.clear()
        with patch.object(Members, of, clocked):
            train_unit(replace(unit, steps=steps, checkpoints=(steps,)), data, device=device)
        return max(seconds.values())

    return run


def bare_products(network: nn.Module, batch_size: int, members: int) -> Timed | None:
    """The products of a step of so many members, forward and backward; None where they are not of matrices alone."""
    layers = [layer for layer in network.modules() if any(True for _ in layer.parameters(recurse=False))]
    if any(type(layer) is not nn.Linear for layer in layers):
        return None
    products: list[Callable[[], Tensor]] = []
    for i, layer in enumerate(layers):
        M, D, K = members, layer.in_features, layer.out_features
        if i == 0:  # images and weights of all members: one wide product
            x, W, z = torch.randn(batch_size, D), torch.zeros(D, M * K), torch.zeros(batch_size, M * K)
            products += [partial(torch.mm, x, W, out=z), partial(W.addmm_, x.T, z)]
        else:
            h, W, z = torch.randn(M, batch_size, D), torch.zeros(M, K, D), torch.zeros(M, K, batch_size)
            products += [partial(torch.bmm, W, h.mT, out=z), partial(W.baddbmm_, z, h)]
            products += [partial(torch.bmm, z.mT, W, out=torch.empty_like(h))]

    def run(steps: int) -> None:
        for _ in range(steps):
            for multiply in products:
                multiply()

    return timed(run)


def in_every_thread(runs: list[Timed]) -> Timed:
    """All at once, each in a thread of its own; the longest time."""

    def seconds(steps: int) -> float:
        with threads_within(1), ThreadPoolExecutor(len(runs)) as pool:
            return max(pool.map(lambda run: run(steps), runs))

    return seconds


def peak() -> float:
    """FLOP per second of one large matrix product, the fastest of three."""
    a, b = torch.randn(2, 1536, 1536)
    out = torch.empty(1536, 1536)
    run = timed(lambda _: torch.mm(a, b, out=out))
    return 2 * 1536**3 / min(run(1) for _ in range(3))


def timed(run: Steps) -> Timed:
    """The same steps, and their time."""

    def seconds(steps: int) -> float:
        began = perf_counter()
        run(steps)
        return perf_counter() - began

    return seconds


def in_few_threads(run: Timed) -> Timed:
    """The shorter time of one thread and of as many as are set."""

    def seconds(steps: int) -> float:
        took = run(steps)
        with threads_within(1):
            return min(took, run(steps))

    return seconds


def enough(run: Timed, least: int = LEAST_STEPS) -> int:
    """Steps that take about SECONDS, at least so many; the first ones, which build and allocate, do not count."""
    run(LEAST_STEPS)
    steps = LEAST_STEPS
    while (took := run(steps)) < SECONDS / 4 and steps < 20_000:
        steps *= 4
    return max(least, round(steps * SECONDS / took))


def random_data(side: int, channels: int = 1) -> DataSet:
    """2,000 images of random numbers with random labels of ten classes, four of them to test on."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2000, channels, side, side)).astype(np.float32), rng.integers(0, 10, 2000)
    return DataSet(
        name="random", x_train=x, y_train=y, x_test=x[:4], y_test=y[:4], num_classes=10, source="random numbers"
    )


def measured(network: str, batch_size: int, members: int) -> dict:
    """One row of the table: medians over the repeats, and the range of the ratios."""
    side, _ = CASES[network]
    data, index = random_data(side), torch.randint(0, 2000, (500, batch_size))
    images, labels = torch.as_tensor(data.x_train), torch.as_tensor(data.y_train)
    built: list[nn.Module] = [zoo.build(network, data.image_shape, 10, seed=0) for _ in range(members)]
    outputs = outputs_per_image(built[0], images[:1], 10)
    with FlopCounterMode(display=False) as counter:
        plain_loop(built[0], images, labels, index)(1)
    ways = {
        "plain loop": (1, in_few_threads(timed(plain_loop(built[0], images, labels, index)))),
        "torch.func": (members, in_few_threads(timed(torch_func(built, images, labels, index)))),
        "effbatch": (members, effbatch_unit(network, data, batch_size, members)),
    }
    fitting = members_that_fit(built[0], outputs, batch_size, CPU)
    together = min(members, members_per_part(members, fitting, THREADS))
    bare = [bare_products(built[0], batch_size, together) for _ in range(min(THREADS, ceil(members / together)))]
    if all(bare) and members > 1:  # one member's products are too small for two threads in each
        ways["bare products"] = (len(bare) * together, in_every_thread(bare))
    steps = {name: enough(run, UNIT_STEPS if name == "effbatch" else LEAST_STEPS) for name, (_, run) in ways.items()}
    speeds: dict[str, list[float]] = {name: [] for name in (*ways, "peak")}
    for _ in range(REPEATS):
        speeds["peak"].append(peak())
        for name, (many, run) in ways.items():
            speeds[name].append(many * steps[name] / run(steps[name]))
    flop = counter.get_total_flops()
    ratios = {name: np.divide(speeds["effbatch"], speeds[name]) for name in ("plain loop", "torch.func")}
    weights = sum(w.numel() for w in built[0].parameters())
    return {
        "network": network, "image": f"{side}x{side}", "batch_size": batch_size, "members": members,
        "model_steps_per_second": {name: float(np.median(speeds[name])) for name in ways},
        "ratio_to": {name: spread(r) for name, r in ratios.items()},
        "flop_per_step": flop,
        "peak_flop_per_second": float(np.median(speeds["peak"])),
        "share_of_peak": float(np.median(np.multiply(speeds["effbatch"], flop)) / np.median(speeds["peak"])),
        "member_bytes": 8 * (weights + batch_size * outputs),
        "load": os.getloadavg()[0],
    }  # fmt: skip


def measured_whole(network: str, batch_size: int) -> dict:
    """One row of convolutions on whole images; `evaluated` is what an evaluated image costs beside a labelled copy."""
    side, channels, members = WHOLE[network]
    few = random_data(side, channels)
    x, y = few.x_train, few.y_train
    data = replace(few, x_test=x, y_test=y)
    images, labels, index = torch.as_tensor(x), torch.as_tensor(y), torch.randint(0, 2000, (500, batch_size))
    loops = []
    for layout in (torch.contiguous_format, torch.channels_last):
        built = zoo.build(network, data.image_shape, 10, seed=0)
        loops.append(in_few_threads(timed(plain_loop(built, images, labels, index, layout))))
    with FlopCounterMode(display=False) as counter:
        plain_loop(built, images, labels, index)(1)
    ways = {"plain loop": (1, lambda steps: min(run(steps) for run in loops))}
    for precision in ("float32", "bfloat16"):
        ways[precision] = (members, effbatch_unit(network, few, batch_size, members, precision=precision))
    evaluate = effbatch_unit(network, data, batch_size, members, of="evaluate")
    steps = {name: enough(run) for name, (_, run) in ways.items()}
    speeds: dict[str, list[float]] = {name: [] for name in (*ways, "peak", "evaluation")}
    for _ in range(REPEATS):
        speeds["peak"].append(peak())
        speeds["evaluation"].append(members * len(x) / evaluate(1))
        for name, (many, run) in ways.items():
            speeds[name].append(many * steps[name] / run(steps[name]))
    work = np.multiply(speeds["float32"], counter.get_total_flops())
    return {
        "network": network, "image": f"{side}x{side}", "batch_size": batch_size, "members": members,
        "model_steps_per_second": {name: float(np.median(speeds[name])) for name in ways},
        "ratio_to_plain": {name: spread(np.divide(speeds[name], speeds["plain loop"])) for name in list(ways)[1:]},
        "share_of_peak": spread(work / speeds["peak"]),
        "evaluated": spread(np.multiply(speeds["float32"], batch_size) / speeds["evaluation"]),
        "load": os.getloadavg()[0],
    }  # fmt: skip


def spread(values: np.ndarray) -> dict:
    """Median and range over the repeats."""
    return {"median": float(np.median(values)), "range": [float(np.min(values)), float(np.max(values))]}


def as_markdown(result: dict) -> str:
    """The JSON as tables for people."""
    lines = [
        "# Throughput",
        "",
        *made(result, ""),
        *rows_markdown(result["rows"]),
        "",
        "## Convolutions on whole images",
        "",
    ]
    lines += made(result["whole"], " --whole")
    lines += [
        "The plain loop is float32, with channels last where that is faster; *evaluated* is what an evaluated image",
        "costs beside a labelled copy in training.",
        "",
        *whole_markdown(result["whole"]["rows"]),
    ]
    return "\n".join(lines) + "\n"


def made(result: dict, option: str) -> list[str]:
    """Which command measured what, when, in how many threads."""
    facts = result["environment"]
    written = f"`python benchmarks/throughput.py{option}`, {facts['made'][:10]}, torch {facts['versions']['torch']}"
    return [
        f"Written by {written}.",
        f"Model-steps per second of wall time, threads: {result['threads']}; medians of {REPEATS} interleaved repeats, "
        "ratios within a repeat",
        "with their range; steps alone. `load` is the one-minute load average of the machine.",
        "",
    ]


def whole_markdown(rows: list[dict]) -> list[str]:
    """Convolutions on whole images: speeds, ratios to the plain loop, share of the peak, what evaluations cost."""
    lines = [
        "| network | image | B | members | plain loop | float32 | bfloat16 | float32 × plain | bfloat16 × plain "
        "| of peak, float32 | evaluated | load |",
        "|---|---|" + "--:|" * 10,
    ]
    for row in rows:
        cells = [row["network"], row["image"], row["batch_size"], row["members"]]
        cells += [f"{speed:,.3g}" for speed in row["model_steps_per_second"].values()]
        cells += [ranged(row["ratio_to_plain"][precision]) for precision in ("float32", "bfloat16")]
        cells += [f"{row['share_of_peak']['median']:.0%}", ranged(row["evaluated"]), f"{row['load']:.1f}"]
        lines.append(line(cells))
    return lines


def line(cells: list) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def ranged(found: dict) -> str:
    """Median [lowest, highest]."""
    low, high = found["range"]
    return f"{found['median']:.2g} [{low:.2g}, {high:.2g}]"


def rows_markdown(rows: list[dict]) -> list[str]:
    """The speeds and their ratios."""
    lines = [
        "| network | image | B | members | plain loop | torch.func | effbatch | bare products | × plain | × torch.func "
        "| of peak | KB per member | load |",
        "|---|---|" + "--:|" * 11,
    ]
    for row in rows:
        speed, ratio = row["model_steps_per_second"], row["ratio_to"]
        cells = [row["network"], row["image"], row["batch_size"], row["members"]]
        cells += [f"{speed[name]:,.0f}" for name in ("plain loop", "torch.func", "effbatch")]
        cells += [f"{speed['bare products']:,.0f}" if "bare products" in speed else ""]
        for name in ("plain loop", "torch.func"):
            cells.append(ranged(ratio[name]))
        cells += [f"{row['share_of_peak']:.0%}", f"{row['member_bytes'] / 1e3:,.0f}", f"{row['load']:.1f}"]
        lines.append(line(cells))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="print six rows, write nothing")
    parser.add_argument("--whole", action="store_true", help="only the convolutions on whole images")
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    facts = {"environment": environment(torch.device("cpu")), "threads": THREADS}
    if arguments.quick:
        print("\n".join(rows_markdown(told(measured, QUICK))))
        return
    stored = RESULTS / "throughput.json"
    result = json.loads(stored.read_text(encoding="utf-8"))
    if not arguments.whole:
        every = [row for network, (_, counts) in CASES.items() for row in product((network,), BATCH_SIZES, counts)]
        result = {**facts, "rows": told(measured, every)}
    result["whole"] = {**facts, "rows": told(measured_whole, list(product(WHOLE, WHOLE_BATCH_SIZES)))}
    stored.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    RESULTS.joinpath("throughput.md").write_text(as_markdown(result), encoding="utf-8")


def told(measure: Callable[..., dict], cases: list[tuple]) -> list[dict]:
    """The rows of all cases, each printed when it is there."""
    rows = []
    for case in cases:
        rows.append(measure(*case))
        print(json.dumps(rows[-1]), flush=True)
    return rows


if __name__ == "__main__":
    main()
