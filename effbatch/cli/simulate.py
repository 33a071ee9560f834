"""`effbatch simulate`: run or resume one sweep."""

from __future__ import annotations

import click

from effbatch.cli.options import DATA_DIR, DEVICE, QUICK, specs_named


@click.command()
@click.argument("spec")
@click.option("--out", required=True, type=click.Path(file_okay=False), help="Folder of the sweep; reused to resume.")
@QUICK
@DATA_DIR
@DEVICE
def command(spec: str, out: str, quick: bool, device: str) -> None:
    """Run or resume the sweep of SPEC, a TOML file or the name of a built-in simulation.

    Finished units are kept: stop it with Ctrl-C or lose the machine, and the same command goes on.

    \b
    effbatch simulate learning_rate --quick --out sweep
    effbatch simulate my_sweep.toml --out sweep --device cuda
    """
    from effbatch.progress import watching
    from effbatch.training import runner

    (loaded,) = specs_named([spec], quick=quick)
    with watching() as progress:
        cube = runner.simulate(loaded, out, device=device, progress=progress)
    outcome = cube["outcome"].values
    click.echo(f"{outcome.size} cells, {(outcome == 1).sum()} finished, {(outcome == 2).sum()} diverged")
    click.echo(f"{out}/cube.nc")
