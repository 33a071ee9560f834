"""`effbatch validate`: predict first, then train, judge and report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from effbatch.cli.options import DATA_DIR, DATASET, DEVICE, QUICK, SCHEDULER, SIMULATION_NAMES, WORKERS, specs_named
from effbatch.core.formats import estimate_text, number_text
from effbatch.show import terminal

if TYPE_CHECKING:
    from effbatch.claims import Judgement
    from effbatch.core.figures import Number

QUICK_SET = ("uniform_noise", "learning_rate", "effective_batch")
INDENT = " " * 11  # behind the verdict
ROOM = terminal.SCREEN - 8  # lines for claims, beside counts, scorecard and files
COLOURS = {"supported": "green", "refuted": "red"}  # of a verdict; undecided is yellow


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
    rules = {name: one.claim.headline for name, one in judged.items() if one.claim is not None}
    show(found, rules, folder / "report.html")
    if goals := Counter(str(line.reached) for line in scorecard.headlines(card)):
        terminal.say(
            f"Scorecard: {_counted(goals)}, of {goals.total()} goals for the package: how well its theory and laws "
            "predict, over all these simulations. A goal that is not met refutes no claim."
        )
    for file in ("verdicts.json", "cube.nc", "report.html", "report.pdf"):
        click.echo(folder / file)
    if strict and any(one.verdict is Verdict.REFUTED for one in found.values()):
        raise SystemExit(3)


def show(judgements: Mapping[str, Judgement], rules: Mapping[str, str], report: Path) -> None:
    """The verdict of one claim, with its number, the rule in words and what to do next; then its finding.

    Of several, how many got each verdict; then by claim its verdict, name, number and the first sentence of its
    finding. Where these do not fit a screen, the numbers alone, refuted claims first.
    """
    from effbatch.claims import Verdict

    if len(judgements) == 1:
        ((name, only),) = judgements.items()
        terminal.say(_title(only, rules[name], report), colour=COLOURS.get(only.verdict, "yellow"))
        terminal.say(f"{name}: {only.finding.removesuffix('.')}.")
        return
    counts = Counter(str(judged.verdict) for judged in judgements.values())
    terminal.say(f"{_counted(counts) or 'No claim was judged'} (of {len(judgements)} claims); read the report for why.")
    lines = {name: _with_number(name, judged) for name, judged in judgements.items()}
    if sum(terminal.height(line, hanging=INDENT) for line in lines.values()) > ROOM:
        first = sorted(judgements, key=lambda name: judgements[name].verdict is not Verdict.REFUTED)
        lines = {name: _numbered(name, judgements[name]) for name in first}
    shown = lines if len(lines) <= ROOM else dict(list(lines.items())[: ROOM - 1])
    for name, line in shown.items():
        terminal.say(line, hanging=INDENT, colour=COLOURS.get(judgements[name].verdict, "yellow"))
    if len(shown) < len(lines):
        terminal.say(f"{len(lines) - len(shown)} more claims: see the report.")


def _title(judged: Judgement, rule: str, report: Path) -> str:
    """Verdict, number, rule and what to do: only what has an estimate can get a narrower interval from more seeds."""
    first = judged.numbers[0]
    undecided = judged.verdict == "undecided" and first.estimate.value is not None
    more = "more seeds may decide it (raise `seed` in [grid], run again)"
    do = more if undecided else f"the report says why: {report}"
    return f"{judged.verdict.upper()}: {number_text(first)} ({first.label}); rule: {rule}; {do}"


def _with_number(name: str, judged: Judgement) -> str:
    """The first sentence of the finding, behind the number where it lacks it and a line has room for it."""
    first, line = judged.numbers[0], _numbered(name, judged)
    said = f"{judged.finding.split('. ')[0].removesuffix('.')}."
    if _bare(first) in said or _bare(first) not in line:
        return f"{_start(name, judged)}{said}"
    return f"{line} ({first.label}). {said}"


def _numbered(name: str, judged: Judgement) -> str:
    """Verdict, name and number in one line: without n, or with no number, where that is too long."""
    first, start = judged.numbers[0], _start(name, judged)
    lines = (f"{start}{number_text(first)}", f"{start}{_bare(first)}")
    return next((line for line in lines if len(line) <= terminal.WIDTH), f"{start}see the report.")


def _bare(number: Number) -> str:
    return estimate_text(number.estimate, number.unit, n=False, difference=number.difference)


def _start(name: str, judged: Judgement) -> str:
    return f"{judged.verdict.upper():<10} {name}: "


def _counted(counts: Mapping[str, int]) -> str:
    """{"met": 3, "not met": 2} -> "3 met, 2 not met"."""
    return ", ".join(f"{n} {what}" for what, n in counts.items())
