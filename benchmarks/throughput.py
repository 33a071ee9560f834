"""Model-steps per second of three ways to train many small networks, side by side in one process.

A plain PyTorch loop over one network, the ensembling recipe of `torch.func` (functional_call, vmap, grad), and
effbatch. Repeats are interleaved, so that another job on the machine slows all three, and ratios are taken within a
repeat. Steps alone are timed, labels drawn and images fetched; building networks is not, in any of the three.

python benchmarks/throughput.py                    # two threads, wall time, on a quiet machine; ten minutes
python benchmarks/throughput.py --quick            # prints six rows and writes nothing; a few minutes
python benchmarks/throughput.py --processor-time   # one thread, a clock that other jobs hardly stretch
python benchmarks/throughput.py --network mlp1     # rows of one network again, the others as they are recorded
python benchmarks/throughput.py --evaluation       # the cost of evaluations, in one thread's processor time

Beside them stand the bare products: the matrix products of a step of linear layers and nothing else, on as many members
at once as the engine takes, in every thread. No way that takes one step at a time can be faster.

It writes results/throughput.json, .md and .svg. With more threads than one, the first two ways count with one thread
where that is faster.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain, product
from math import ceil
from pathlib import Path
from threading import get_ident
from time import perf_counter, process_time
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from effbatch.core import resources
from effbatch.core.figures import Axis, Figure, Panel, Series
from effbatch.data import datasets
from effbatch.data.dataset import DataSet
from effbatch.engine.device import threads_within
from effbatch.engine.members import Members
from effbatch.engine.parts import members_per_part, members_that_fit, outputs_per_image
from effbatch.engine.train import train_unit
from effbatch.networks import zoo
from effbatch.plan import spec as specs
from effbatch.plan.spec import Data, Train
from effbatch.plan.units import Unit, units
from effbatch.show.charts import draw
from effbatch.sweep.provenance import environment

RESULTS = Path(__file__).parent / "results"
REPEATS, SECONDS, LEAST_STEPS = 5, 0.15, 4  # of work in every timed run, roughly
UNIT_STEPS = 50  # least of a unit, whose parts all begin with cold caches; nearly all built-in settings take more
EVALUATION_REPEATS, EVALUATION_STEPS = 3, 20
EVALUATED_ON = ("digits", "fashion-mnist-14")
BATCH_SIZES = (8, 32, 128)
CASES = {  # network: side of the images, members trained together
    "mlp1": (14, (1, 100, 400)),
    "conv2": (14, (1, 10)),
    "mlp2": (14, (1, 100)),
    "conv4": (14, (10,)),
    "resnet18": (8, (1, 4)),
}
QUICK = product(("mlp1",), (8, 128), (1, 100)), product(("conv2",), (8, 128), (10,))  # network, batch size, members
RATE = 0.01
Clock = Callable[[], float]
Steps = Callable[[int], None]  # takes so many steps
Timed = Callable[[int], float]  # takes so many steps and tells how many seconds they took


def plain_loop(network: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Steps:
    """One network, one step at a time, by torch.optim.SGD."""
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


def effbatch_unit(network: str, data: DataSet, batch_size: int, members: int, clock: Clock) -> Timed:
    """`train_unit` on a unit of one seed; the time of its steps, in the thread that is busy longest."""
    rates = min(members, 10)
    unit = Unit(
        point={}, data=Data(data.name), train=Train(network), batch_size=batch_size, steps=1, checkpoints=(1,),
        alphas=tuple(float(a) for a in range(members // rates)),
        learning_rates=tuple(RATE / (1 + r) for r in range(rates)), seeds=(0,),
    )  # fmt: skip

    def run(steps: int) -> float:
        with spent(clock, "steps") as seconds:
            train_unit(replace(unit, steps=steps, checkpoints=(steps,)), data, device=torch.device("cpu"))
        return max(seconds["steps"].values())

    return run


@contextmanager
def spent(clock: Clock, *methods: str) -> Iterator[dict[str, Counter[int]]]:
    """Seconds that these methods of the engine's parts take in every thread."""
    seconds: dict[str, Counter[int]] = {name: Counter() for name in methods}

    def clocked(name: str) -> Callable:
        method = getattr(Members, name)

        def measure(*arguments):  # type: ignore[no-untyped-def]
            began = clock()
            result = method(*arguments)
            seconds[name][get_ident()] += clock() - began
            return result

        return measure

    with ExitStack() as patches:
        for name in methods:
            patches.enter_context(patch.object(Members, name, clocked(name)))
        yield seconds


def bare_products(network: nn.Module, batch_size: int, members: int, clock: Clock) -> Timed | None:
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

    def run(steps: int) -> float:
        began = clock()
        for _ in range(steps):
            for multiply in products:
                multiply()
        return clock() - began

    return run


def in_every_thread(runs: list[Timed]) -> Timed:
    """All at once, each in a thread of its own; the longest time."""

    def seconds(steps: int) -> float:
        with threads_within(1), ThreadPoolExecutor(len(runs)) as pool:
            return max(pool.map(lambda run: run(steps), runs))

    return seconds


def multiply(clock: Clock) -> Callable[[], float]:
    """FLOP per second of one large matrix product."""
    a, b = torch.randn(2, 1536, 1536)
    out = torch.empty(1536, 1536)
    product = timed(lambda _: torch.mm(a, b, out=out), clock)
    return lambda: 2 * 1536**3 / product(1)


def timed(run: Steps, clock: Clock) -> Timed:
    """The same steps, and their time."""

    def seconds(steps: int) -> float:
        began = clock()
        run(steps)
        return clock() - began

    return seconds


def in_few_threads(run: Timed) -> Timed:
    """The shorter time of one thread and of as many as are set."""

    def seconds(steps: int) -> float:
        took = [run(steps)]
        if torch.get_num_threads() > 1:
            with threads_within(1):
                took.append(run(steps))
        return min(took)

    return seconds


def enough(run: Timed, least: int = LEAST_STEPS) -> int:
    """Steps that take about SECONDS, at least so many; the first ones, which build and allocate, do not count."""
    run(LEAST_STEPS)
    steps = LEAST_STEPS
    while (took := run(steps)) < SECONDS / 4 and steps < 20_000:
        steps *= 4
    return max(least, round(steps * SECONDS / took))


def measured(network: str, side: int, batch_size: int, members: int, clock: Clock) -> dict:
    """One row of the table: medians over the repeats, and the range of the ratios."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2000, 1, side, side)).astype(np.float32), rng.integers(0, 10, 2000)
    data = DataSet("random", x, y, x[:4], y[:4], 10, "random numbers")
    images, labels, index = torch.as_tensor(x), torch.as_tensor(y), torch.randint(0, 2000, (500, batch_size))
    built: list[nn.Module] = [zoo.build(network, data.image_shape, 10, seed=0) for _ in range(members)]
    with FlopCounterMode(display=False) as counter:
        plain_loop(built[0], images, labels, index)(1)
    ways = {
        "plain loop": (1, in_few_threads(timed(plain_loop(built[0], images, labels, index), clock))),
        "torch.func": (members, in_few_threads(timed(torch_func(built, images, labels, index), clock))),
        "effbatch": (members, effbatch_unit(network, data, batch_size, members, clock)),
    }
    threads = torch.get_num_threads()
    fitting = members_that_fit(built[0], outputs_per_image(built[0], images[:1], 10), batch_size, torch.device("cpu"))
    together = min(members, members_per_part(members, fitting, threads))
    bare = [bare_products(built[0], batch_size, together, clock) for _ in range(min(threads, ceil(members / together)))]
    if all(bare) and members > 1:  # one member's products are too small for two threads in each
        ways["bare products"] = (len(bare) * together, in_every_thread(bare))
    steps = {name: enough(run, UNIT_STEPS if name == "effbatch" else LEAST_STEPS) for name, (_, run) in ways.items()}
    peak = multiply(clock)
    speeds: dict[str, list[float]] = {name: [] for name in (*ways, "peak")}
    for _ in range(REPEATS):
        speeds["peak"].append(max(peak() for _ in range(3)))
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
        "member_bytes": 8 * (weights + batch_size * outputs_per_image(built[0], images[:1], 10)),
        "load": os.getloadavg()[0],
    }  # fmt: skip


def spread(values: np.ndarray) -> dict:
    """Median and range over the repeats."""
    return {"median": float(np.median(values)), "range": [float(np.min(values)), float(np.max(values))]}


def evaluation_costs() -> list[dict]:
    """For every network and batch size of the built-in simulations, the time of all evaluations over that of all steps.

    One unit of each is timed, a few steps of it and one evaluation, in one thread; units of a simulation count with
    their numbers. On the simulation's own data set and on Fashion-MNIST, which has twenty times as many test images.
    """
    rows = []
    for path, dataset in product(sorted(resources.bundled("simulations").glob("*.toml")), EVALUATED_ON):
        simulation = specs.load(path, dataset=dataset)
        data = datasets.load(dataset)
        alike: dict[tuple[str, int], list[Unit]] = {}
        for unit in units(simulation, {data.name: len(data.x_train)}):
            alike.setdefault((unit.train.network, unit.batch_size), []).append(unit)
        for (network, batch_size), same in alike.items():
            repeats = [seconds_of_steps_and_evaluations(same[0], data) for _ in range(EVALUATION_REPEATS)]
            rows.append({
                "simulation": path.stem, "dataset": dataset, "network": network, "batch_size": batch_size,
                "steps": same[0].steps, "evaluations": len(same[0].checkpoints), "units": len(same),
                "cells_per_unit": same[0].cells,
                "share": spread(np.array([evaluations / steps for steps, evaluations in repeats])),
                "seconds": {
                    name: len(same) * float(np.median(seconds))
                    for name, seconds in zip(("steps", "evaluations"), zip(*repeats, strict=True), strict=True)
                },
            })  # fmt: skip
            print(json.dumps(rows[-1]), flush=True)
    return rows


def seconds_of_steps_and_evaluations(unit: Unit, data: DataSet) -> tuple[float, float]:
    """What all steps and all evaluations of a unit take, from a few of each: processor time of one thread.

    The evaluations are those along the run and the one at the end on all test images.
    """
    short = replace(unit, steps=EVALUATION_STEPS, checkpoints=(EVALUATION_STEPS // 2, EVALUATION_STEPS))
    with threads_within(1), spent(process_time, "steps", "evaluate", "test") as seconds:
        train_unit(short, data, device=torch.device("cpu"))
    steps, evaluate, test = (sum(seconds[name].values()) for name in ("steps", "evaluate", "test"))
    return steps * unit.steps / EVALUATION_STEPS, evaluate * len(unit.checkpoints) / 2 + test


def as_markdown(result: dict) -> str:
    """The JSON as tables for people."""
    facts = result["environment"]
    counted = f"{result['clock']}, threads: {result['threads']}"
    setup = "steps alone" if result["steps_only"] else "in effbatch's time its networks are built, too"
    lines = ["# Throughput", ""]
    lines += [
        f"Written by `python benchmarks/throughput.py`, {facts['made'][:10]}, torch {facts['versions']['torch']}."
    ]
    lines += [f"Model-steps per second of {counted}; medians of {REPEATS} interleaved repeats, ratios within a repeat"]
    lines += [f"with their range; {setup}. `load` is the one-minute load average of the machine.", ""]
    return "\n".join([*lines, *rows_markdown(result["rows"]), "", *evaluation_markdown(result["evaluation"])]) + "\n"


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
            low, high = ratio[name]["range"]
            cells.append(f"{ratio[name]['median']:.2g} [{low:.2g}, {high:.2g}]")
        cells += [f"{row['share_of_peak']:.0%}", f"{row['member_bytes'] / 1e3:,.0f}", f"{row['load']:.1f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def evaluation_markdown(rows: list[dict]) -> list[str]:
    """The share of evaluations, by setting and by simulation."""
    lines = ["## Evaluation", ""]
    lines += ["Time of all evaluations over that of all steps, full grids of the built-in simulations;"]
    lines += [f"processor time of one thread, medians of {EVALUATION_REPEATS} repeats with their range.", ""]
    lines += ["| data | simulation | network | B | units | steps | evaluations | share |"]
    lines += ["|---|---|---|" + "--:|" * 5]
    for row in rows:
        low, high = row["share"]["range"]
        cells = [row[k] for k in ("dataset", "simulation", "network", "batch_size", "units", "steps", "evaluations")]
        cells += [f"{row['share']['median']:.1%} [{low:.1%}, {high:.1%}]"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    for dataset, simulation in product(EVALUATED_ON, (*dict.fromkeys(row["simulation"] for row in rows), None)):
        own = [row for row in rows if row["dataset"] == dataset and simulation in (None, row["simulation"])]
        steps, evaluations = (sum(row["seconds"][name] for row in own) for name in ("steps", "evaluations"))
        lines.append(f"| {dataset} | {simulation or 'all simulations'} | all | | {sum(r['units'] for r in own)} | | "
                     f"| {evaluations / steps:.1%} |")  # fmt: skip
    return lines


def chart(result: dict) -> str:
    """SVG: model-steps per second against members, one panel per network and batch size."""
    panels = []
    for network, batch_size in product(CASES, BATCH_SIZES):
        rows = [row for row in result["rows"] if (row["network"], row["batch_size"]) == (network, batch_size)]
        if not rows:
            continue
        members = [row["members"] for row in rows]
        series = [
            Series(way, "measured", members, [row["model_steps_per_second"].get(way) for row in rows])
            for way in dict.fromkeys(way for row in rows for way in row["model_steps_per_second"])
        ]
        axes = Axis("members", "log", ticks=members), Axis("model-steps per second", "log")
        panels.append(Panel(*axes, series, f"{network}, B = {batch_size}"))
    return draw(Figure("throughput", "Model-steps per second against the number of members.", panels)).svg


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="print six rows, write nothing")
    parser.add_argument("--processor-time", action="store_true", help="of one thread, for a busy machine")
    parser.add_argument("--network", choices=CASES, action="append", help="only its rows; may be given again")
    parser.add_argument("--evaluation", action="store_true", help="only the cost of evaluations")
    asked = parser.parse_args()
    recorded = json.loads(RESULTS.joinpath("throughput.json").read_text())
    if asked.evaluation:
        write(recorded | {"evaluation": evaluation_costs()})
        return
    threads, clock = (1, process_time) if asked.processor_time else (asked.threads, perf_counter)
    torch.set_num_threads(threads)
    if asked.quick:
        rows = [measured(name, CASES[name][0], *sizes, clock) for name, *sizes in chain(*QUICK)]
        print("\n".join(rows_markdown(rows)))
        return
    facts = {"environment": environment(torch.device("cpu")), "threads": threads, "steps_only": True}
    facts |= {"clock": "processor time" if asked.processor_time else "wall time"}
    if asked.network and any(recorded[name] != facts[name] for name in ("threads", "clock")):
        parser.error("the recorded rows have another clock or number of threads; record all networks again")
    kept = {place(row): row for row in recorded["rows"] if asked.network and row["network"] not in asked.network}
    for network in asked.network or CASES:
        side, counts = CASES[network]
        for batch_size in BATCH_SIZES:
            for members in counts:
                row = measured(network, side, batch_size, members, clock)
                kept[place(row)] = row
                print(json.dumps(row), flush=True)
                write(facts | {"rows": [kept[key] for key in sorted(kept)], "evaluation": recorded["evaluation"]})


def place(row: dict) -> tuple[int, int, int]:
    """Where a row stands in the table."""
    return list(CASES).index(row["network"]), row["batch_size"], row["members"]


def write(result: dict) -> None:
    """All three files, after every row: a run that is cut short has recorded what it measured."""
    RESULTS.joinpath("throughput.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    RESULTS.joinpath("throughput.md").write_text(as_markdown(result), encoding="utf-8")
    RESULTS.joinpath("throughput.svg").write_text(chart(result), encoding="utf-8")


if __name__ == "__main__":
    main()
