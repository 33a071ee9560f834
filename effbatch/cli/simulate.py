"""`effbatch simulate`: run or resume one sweep."""

from __future__ import annotations

from pathlib import Path

import click

from effbatch.cli.options import DATA_DIR, DATASET, DEVICE, QUICK, SCHEDULER, WORKERS, specs_named


@click.command()
@click.argument("spec")
@click.option("--out", required=True, type=click.Path(file_okay=False), help="Folder of the sweep; reused to resume.")
@QUICK
@DATASET
@DATA_DIR
@DEVICE
@WORKERS
@SCHEDULER
def command(
    spec: str,
    out: str,
    quick: bool,
    dataset: str | None,
    device: str,
    workers: int | None,
    scheduler: str | None,
) -> None:
    """Run or resume the sweep of SPEC, a TOML file or the name of a built-in simulation.

    Finished units are kept: stop it with Ctrl-C or lose the machine, and the same command goes on.

    \b
    effbatch simulate learning_rate --quick --out sweep
    effbatch simulate my_sweep.toml --out sweep --device cuda
    effbatch simulate my_sweep.toml --out sweep --scheduler tcp://10.0.0.1:8786
    """
    from effbatch.progress import watching
    from effbatch.training import runner
    from effbatch.training.adaptive import account_in_words
    from effbatch.training.cluster import hired

    (loaded,) = specs_named([spec], quick=quick, dataset=dataset)
    with watching() as progress, hired(device, scheduler=scheduler, processes=workers) as crew:
        cube = runner.simulate(loaded, out, progress=progress, workers=crew)
    outcome = cube["outcome"].values
    click.echo(f"{(outcome != 0).sum()} cells, {(outcome == 1).sum()} finished, {(outcome == 2).sum()} diverged")
    for sentence in account_in_words(cube):
        click.echo(sentence)
    click.echo(Path(out) / "cube.nc")
