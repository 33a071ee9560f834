"""Model-steps per second of three ways to train many small networks, side by side in one process.

A plain PyTorch loop over one network, the ensembling recipe of `torch.func` (functional_call, vmap, grad), and
effbatch. Repeats are interleaved, so that another job on the machine slows all three, and ratios are taken within a
repeat. With one thread, processor time is counted, which another job does not stretch; with more, wall time, on a
machine that must be quiet, and the first two ways count with one thread where that is faster.

python benchmarks/throughput.py            # -> results/throughput.json, .md, .svg; some minutes
python benchmarks/throughput.py --threads 2
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time, thread_time
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from effbatch.training import datasets, engine, networks
from effbatch.training.cells import Unit
from effbatch.training.datasets import DataSet
from effbatch.training.parts import outputs_per_image
from effbatch.training.provenance import environment
from effbatch.training.spec import Data, Train

RESULTS = Path(__file__).parent / "results"
REPEATS, SECONDS, LEAST_STEPS = 5, 0.15, 25  # of work in every timed run, roughly; effbatch prepares a run
BATCH_SIZES = (8, 32, 128)
CASES = {  # network: side of the images, members trained together
    "mlp1": (14, (1, 100, 400)),
    "conv2": (14, (1, 10)),
    "mlp2": (14, (1, 100)),
    "conv4": (14, (10,)),
    "resnet18": (8, (4,)),
}
RATE = 0.01
Steps = Callable[[int], None]  # takes so many steps


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


def effbatch_unit(network: str, data: DataSet, batch_size: int, members: int) -> Steps:
    """`engine.train` on a unit of one seed, its labels drawn and its weights made anew in every run."""
    rates = min(members, 10)
    unit = Unit(
        point={}, data=Data(data.name), train=Train(network), batch_size=batch_size, steps=1, checkpoints=(1,),
        alphas=tuple(float(a) for a in range(members // rates)),
        learning_rates=tuple(RATE / (1 + r) for r in range(rates)), seeds=(0,),
    )  # fmt: skip

    def run(steps: int) -> None:
        engine.train(replace(unit, steps=steps, checkpoints=(steps,)), data, device=torch.device("cpu"))

    return run


def multiply() -> Callable[[], float]:
    """FLOP per second of one large matrix product."""
    a, b = torch.randn(2, 1536, 1536)
    out = torch.empty(1536, 1536)

    def measure() -> float:
        return 2 * 1536**3 / seconds(lambda _: torch.mm(a, b, out=out), 1)

    return measure


def seconds(run: Steps, steps: int, *threads: int) -> float:
    """Time of so many steps, with the best of these numbers of threads, else with as many as are set."""
    before = torch.get_num_threads()
    clock = process_time if before == 1 else perf_counter
    took = []
    for count in threads or (before,):
        torch.set_num_threads(count)
        began = clock()
        run(steps)
        took.append(clock() - began)
    torch.set_num_threads(before)
    return min(took)


def enough(run: Steps) -> int:
    """Steps that take about SECONDS, at least 2."""
    steps = 2
    while (took := seconds(run, steps)) < SECONDS / 4 and steps < 20_000:
        steps *= 4
    return max(2, round(steps * SECONDS / took))


def measured(network: str, side: int, batch_size: int, members: int) -> dict:
    """One row of the table: medians over the repeats, and the range of the ratios."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2000, 1, side, side)).astype(np.float32), rng.integers(0, 10, 2000)
    data = DataSet("random", x, y, x[:4], y[:4], 10, "random numbers")
    images, labels, index = torch.as_tensor(x), torch.as_tensor(y), torch.randint(0, 2000, (500, batch_size))
    built: list[nn.Module] = [networks.build(network, data.image_shape, 10, seed=0) for _ in range(members)]
    with FlopCounterMode(display=False) as counter:
        plain_loop(built[0], images, labels, index)(1)
    ways = {
        "plain loop": (1, plain_loop(built[0], images, labels, index)),
        "torch.func": (members, torch_func(built, images, labels, index)),
        "effbatch": (members, effbatch_unit(network, data, batch_size, members)),
    }
    steps = {name: enough(run) for name, (_, run) in ways.items()}
    steps["effbatch"] = max(LEAST_STEPS, steps["effbatch"])
    peak = multiply()
    speeds: dict[str, list[float]] = {name: [] for name in (*ways, "peak")}
    for _ in range(REPEATS):
        speeds["peak"].append(max(peak() for _ in range(3)))
        for name, (many, run) in ways.items():
            threads = {torch.get_num_threads()} | (set() if name == "effbatch" else {1})
            speeds[name].append(many * steps[name] / seconds(run, steps[name], *threads))
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


def evaluation_cost(network: str, batch_size: int) -> dict:
    """Time of the default evaluations as a share of the default steps, on digits; processor time of one thread."""
    data = datasets.load("digits")
    steps, evaluations = int(Train().budget["steps"]), Train().evaluations
    unit = Unit(
        point={}, data=Data(), train=Train(network), batch_size=batch_size, steps=40, checkpoints=(20, 40),
        alphas=(0.0, 1.0, 2.0, 4.0), learning_rates=tuple(0.02 * 2.0**r for r in range(-4, 1)), seeds=(0,),
    )  # fmt: skip
    spent = {"steps": 0.0, "evaluate": 0.0}

    def timed(name: str) -> Callable:
        method = getattr(engine._Run, name)

        def measure(*arguments):  # type: ignore[no-untyped-def]
            began = thread_time()
            result = method(*arguments)
            spent[name] += thread_time() - began
            return result

        return measure

    shares = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with patch.object(engine._Run, "steps", timed("steps")), patch.object(engine._Run, "evaluate", timed("evaluate")):
        for _ in range(REPEATS):
            spent.update(steps=0.0, evaluate=0.0)
            engine.train(unit, data, device=torch.device("cpu"))
            shares.append(spent["evaluate"] / 2 * evaluations / (spent["steps"] / 40 * steps))
    torch.set_num_threads(threads)
    return {
        "network": network, "batch_size": batch_size, "steps": steps, "evaluations": evaluations,
        "test_images": len(data.x_test), "share": spread(np.array(shares)),
    }  # fmt: skip


def as_markdown(result: dict) -> str:
    """The JSON as tables for people."""
    facts = result["environment"]
    counted = "processor time, one thread" if result["threads"] == 1 else f"wall time, {result['threads']} threads"
    lines = ["# Throughput", ""]
    lines += [
        f"Written by `python benchmarks/throughput.py`, {facts['made'][:10]}, torch {facts['versions']['torch']}."
    ]
    lines += [f"Model-steps per second of {counted}; medians of {REPEATS} interleaved repeats, ratios within a repeat"]
    lines += ["with their range. `load` is the one-minute load average of the machine, which was shared.", ""]
    lines += [
        "| network | image | B | members | plain loop | torch.func | effbatch | × plain | × torch.func | of peak "
        "| KB per member | load |",
        "|---|---|" + "--:|" * 10,
    ]
    for row in result["rows"]:
        speed, ratio = row["model_steps_per_second"], row["ratio_to"]
        cells = [row["network"], row["image"], row["batch_size"], row["members"]]
        cells += [f"{speed[name]:,.0f}" for name in ("plain loop", "torch.func", "effbatch")]
        for name in ("plain loop", "torch.func"):
            low, high = ratio[name]["range"]
            cells.append(f"{ratio[name]['median']:.2g} [{low:.2g}, {high:.2g}]")
        cells += [f"{row['share_of_peak']:.0%}", f"{row['member_bytes'] / 1e3:,.0f}", f"{row['load']:.1f}"]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", "## Evaluation", "", "Time that the default evaluations add to a sweep on digits.", ""]
    lines += ["| network | B | steps | evaluations | share of training |", "|---|--:|--:|--:|--:|"]
    for row in result["evaluation"]:
        low, high = row["share"]["range"]
        cells = [row["network"], row["batch_size"], row["steps"], row["evaluations"]]
        cells.append(f"{row['share']['median']:.1%} [{low:.1%}, {high:.1%}]")
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def chart(result: dict) -> str:
    """SVG: model-steps per second against members, one panel per network and batch size."""
    import altair as alt
    import vl_convert

    points = [
        {"network": row["network"], "B": row["batch_size"], "members": row["members"], "way": way, "speed": speed}
        for row in result["rows"]
        for way, speed in row["model_steps_per_second"].items()
    ]
    drawn = (
        alt.Chart(alt.Data(values=points))
        .mark_line(point=True)
        .encode(
            x=alt.X("members:Q", scale=alt.Scale(type="log"), title="members"),
            y=alt.Y("speed:Q", scale=alt.Scale(type="log"), title="model-steps per second"),
            color=alt.Color("way:N", title=None),
            row=alt.Row("network:N", sort=list(CASES)),
            column=alt.Column("B:O", title="batch size"),
        )
        .properties(width=180, height=110)
    )
    return vl_convert.vegalite_to_svg(drawn.to_dict())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=1)
    threads = parser.parse_args().threads
    torch.set_num_threads(threads)
    facts = {"environment": environment(torch.device("cpu")), "threads": threads}
    evaluation = [evaluation_cost(network, B) for network in ("mlp1", "conv2") for B in (8, 32)]
    rows = []
    for network, (side, counts) in CASES.items():
        for batch_size in BATCH_SIZES:
            for members in counts:
                rows.append(measured(network, side, batch_size, members))
                print(json.dumps(rows[-1]), flush=True)
                write(facts | {"rows": rows, "evaluation": evaluation})


def write(result: dict) -> None:
    """All three files, after every row: a run that is cut short has recorded what it measured."""
    RESULTS.joinpath("throughput.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    RESULTS.joinpath("throughput.md").write_text(as_markdown(result), encoding="utf-8")
    RESULTS.joinpath("throughput.svg").write_text(chart(result), encoding="utf-8")


if __name__ == "__main__":
    main()
