"""`effbatch simulate`: run, resume or extend one sweep."""

from __future__ import annotations

from pathlib import Path

import click

from effbatch.cli.options import DATA_DIR, DATASET, DEVICE, QUICK, SCHEDULER, SIMULATION_NAMES, WORKERS, specs_named
from effbatch.show import terminal


@click.command()
@click.argument("spec", shell_complete=SIMULATION_NAMES)
@click.option(
    "--out", required=True, type=click.Path(file_okay=False), help="Folder of the sweep; give it again to resume."
)
@click.option(
    "--only",
    multiple=True,
    metavar="KEY=VALUE",
    help="Run only these cells of the grid, with the same numbers as in the whole sweep; repeatable.",
)
@QUICK
@DATASET
@DATA_DIR
@DEVICE
@WORKERS
@SCHEDULER
def command(
    spec: str,
    out: str,
    only: tuple[str, ...],
    quick: bool,
    dataset: str | None,
    device: str,
    workers: int | None,
    scheduler: str | None,
) -> None:
    """Run, resume or extend the sweep of SPEC, a TOML file or the name of a built-in simulation.

    Finished units are kept: stop it with Ctrl-C (twice: at once) or lose the machine, and the same command goes on.
    More seeds, noise levels, rates or batch sizes in the spec extend the sweep that --out holds.

    \b
    effbatch simulate learning_rate --quick --out sweep
    effbatch simulate my_sweep.toml --out sweep --device cuda
    effbatch simulate my_sweep.toml --out sweep --scheduler tcp://10.0.0.1:8786
    effbatch simulate learning_rate --out cell \\
        --only alpha=3 --only batch_size=32 --only seed=0
    """
    from effbatch.data import datasets
    from effbatch.plan.adaptive import account_in_words
    from effbatch.plan.cube import METRICS, extension_in_words
    from effbatch.plan.only import only as cut_down
    from effbatch.show.progress import watching
    from effbatch.sweep import runner
    from effbatch.sweep.hiring import hired

    (loaded,) = specs_named([spec], quick=quick, dataset=dataset)
    loaded = cut_down(loaded, only)
    with watching() as progress, hired(device, scheduler=scheduler, processes=workers) as crew:
        cube = runner.simulate(loaded, out, progress=progress, workers=crew)
    for name in loaded.grid.get("dataset", (loaded.data.dataset,)):
        if name not in datasets.names():
            terminal.say(f"{name}: {datasets.load(name).in_words}.")
    outcome = cube["outcome"].values
    click.echo(f"{(outcome != 0).sum()} cells, {(outcome == 1).sum()} finished, {(outcome == 2).sum()} diverged")
    if outcome.size == 1:
        measured = ", ".join(f"{name.replace('_', ' ')} {cube[name].item():.4f}" for name in METRICS)
        click.echo(measured)
    for sentence in [*account_in_words(cube), *extension_in_words(cube)]:
        terminal.say(sentence)
    click.echo(Path(out) / "cube.nc")
