"""The command line: one module per command, imported only when its command is asked for."""

from __future__ import annotations

import importlib

import click

from effbatch.errors import EffbatchError, hint

COMMANDS = {
    "predict": "Effective batch and learning rate for α noisy labels per clean one.",
    "advise": "Batch size and learning rate for your network, data and budget, with a snippet.",
    "estimate": "α of a real data set, from hand-checked labels, with an interval.",
    "measure": "Gradient numbers, noise scale and effective batch of a network on data.",
    "validate": "Predict, train, judge: writes report.pdf, report.html, verdicts.json, cube.nc.",
    "simulate": "Run or resume one sweep.",
    "fit": "Best learning rates, law comparison and data collapse of a cube.",
    "report": "Render the report of finished sweeps again, without training.",
    "laws": "The laws: formula, when they hold and when not, reference.",
    "datasets": "The data sets and whether they are there.",
    "doctor": "Whether everything effbatch needs is usable here, and how to get it.",
    "completion": "The script that completes commands, options and names in bash, zsh or fish.",
}


class LazyGroup(click.Group):
    """Finds `command` in effbatch.cli.<name> when it is needed, so that no command pays for another's imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        return importlib.import_module(f"{__name__}.{name}").command

    def resolve_command(self, ctx: click.Context, args: list[str]):
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"command {args[0]!r} is not known; {hint(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context):
        """Run the command; our own errors become one sentence on stderr and their exit code."""
        try:
            return super().invoke(ctx)
        except EffbatchError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"effbatch: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="effbatch")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Learning rate, batch size and labels needed when most labels are wrong.

    \b
    effbatch predict --alpha 50 --batch 128
        what 50 noisy labels per clean one do
    effbatch validate --quick
        check the laws against trained networks
    """
