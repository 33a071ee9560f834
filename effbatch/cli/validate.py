"""`effbatch validate`: predict first, then train, judge and report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from effbatch.cli.options import DATA_DIR, DATASET, DEVICE, QUICK, SCHEDULER, SIMULATION_NAMES, WORKERS, specs_named
from effbatch.core.formats import number_text
from effbatch.show import terminal

if TYPE_CHECKING:
    from effbatch.claims import Judgement

QUICK_SET = ("uniform_noise", "learning_rate", "effective_batch")
INDENT = " " * 11  # behind the verdict
ROOM = terminal.SCREEN - 6  # lines for claims, beside counts, scorecard and files


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME|SPEC]...", shell_complete=SIMULATION_NAMES)
@click.option(
    "--out", default="out", show_default=True, type=click.Path(file_okay=False), help="Folder to write the results to."
)
@QUICK
@DATASET
@DATA_DIR
@DEVICE
@WORKERS
@SCHEDULER
@click.option("--strict", is_flag=True, help="Exit with 3 when a claim is refuted.")
def command(
    names: tuple[str, ...],
    out: str,
    quick: bool,
    dataset: str | None,
    device: str,
    workers: int | None,
    scheduler: str | None,
    strict: bool,
) -> None:
    """Check the laws against really trained networks and write the report.

    Predictions are stored before training starts. Without names: the quick set on embedded real data, minutes on
    two CPU cores.

    \b
    effbatch validate --quick --out out
    effbatch validate learning_rate --out out
    effbatch validate learning_rate --dataset fashion-mnist-14 --out out
    """
    from effbatch.claims import Verdict
    from effbatch.show.progress import watching
    from effbatch.sweep.hiring import hired
    from effbatch.validation import document, scorecard
    from effbatch.validation.judged import judge_all
    from effbatch.validation.validate import validate

    specs = specs_named(names or QUICK_SET, quick=quick or not names, dataset=dataset)
    folder = Path(out)
    with watching() as progress, hired(device, scheduler=scheduler, processes=workers) as crew:
        judged = judge_all(validate(specs, folder, progress=progress, workers=crew))
    card = scorecard.measure(judged)
    document.write(judged, card, folder)
    found = {name: one.judgement for name, one in judged.items() if one.judgement is not None}
    show(found)
    if goals := Counter(str(line.reached) for line in scorecard.headlines(card)):
        terminal.say(f"Scorecard: {_counted(goals)} (of {goals.total()} goals; the report has them all).")
    for file in ("verdicts.json", "cube.nc", "report.html", "report.pdf"):
        click.echo(folder / file)
    if strict and any(one.verdict is Verdict.REFUTED for one in found.values()):
        raise SystemExit(3)


def show(judgements: Mapping[str, Judgement]) -> None:
    """How many claims each verdict got; then by claim its verdict, name and the first sentence of its finding.

    Where these do not fit a screen, the number of each claim in place of the sentence, refuted claims first.
    """
    from effbatch.claims import Verdict

    counts = Counter(str(judged.verdict) for judged in judgements.values())
    terminal.say(f"{_counted(counts) or 'No claim was judged'} (of {len(judgements)} claims); read the report for why.")
    lines = {name: f"{judged.finding.split('. ')[0].removesuffix('.')}." for name, judged in judgements.items()}
    if sum(terminal.height(_line(judgements[name], name, said), hanging=INDENT) for name, said in lines.items()) > ROOM:
        first = sorted(judgements, key=lambda name: judgements[name].verdict is not Verdict.REFUTED)
        lines = {name: number_text(judgements[name].numbers[0]) for name in first}
    shown = lines if len(lines) <= ROOM else dict(list(lines.items())[: ROOM - 1])
    for name, said in shown.items():
        judged = judgements[name]
        colour = {Verdict.SUPPORTED: "green", Verdict.REFUTED: "red"}.get(judged.verdict, "yellow")
        terminal.say(_line(judged, name, said), hanging=INDENT, colour=colour)
    if len(shown) < len(lines):
        terminal.say(f"{len(lines) - len(shown)} more claims: see the report.")


def _line(judged: Judgement, name: str, said: str) -> str:
    return f"{judged.verdict.upper():<10} {name}: {said}"


def _counted(counts: Mapping[str, int]) -> str:
    """{"met": 3, "not met": 2} -> "3 met, 2 not met"."""
    return ", ".join(f"{n} {what}" for what, n in counts.items())
