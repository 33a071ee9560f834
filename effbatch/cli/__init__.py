"""The command line: one module per command, imported only when its command is asked for."""

from __future__ import annotations

import importlib
import re
import unicodedata

import click

from effbatch.core.errors import EffbatchError, hint

COMMANDS = {
    "predict": "Effective batch and learning rate for α noisy labels per clean one.",
    "advise": "Learning rate for your network, data and recipe, from short real runs of it.",
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


_LONGEST_WORD = 300  # characters of a word in an error; a path may be that long


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
        """Run the command; an error becomes one sentence on stderr and its exit code, with --debug a traceback.

        Code 1 for one that is not ours: memory that does not suffice, or a mistake of effbatch.
        """
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise click.UsageError(one_line(error.format_message()), error.ctx) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise  # click prints them itself
        except Exception as error:
            if ctx.params.get("debug") or isinstance(error, BrokenPipeError):  # of `effbatch ... | head`
                raise
            code, sentence = 1, f"{type(error).__name__}: {error} (not expected: `effbatch --debug ...` shows where)"
            if isinstance(error, EffbatchError):
                code, sentence = error.exit_code, str(error)
            elif isinstance(error, MemoryError):
                sentence = "more memory is needed than there is; ask for less at once: fewer classes, images or cells"
            click.echo(f"effbatch: {one_line(sentence)}", err=True)
            ctx.exit(code)


def one_line(text: str) -> str:
    """What came from a file or an argument as text for a terminal: no control characters, no endless word."""
    text = re.sub(rf"\S{{{_LONGEST_WORD + 1},}}", lambda word: f"{word[0][:_LONGEST_WORD]}…", text)
    return "".join(c if unicodedata.category(c)[0] != "C" else repr(c)[1:-1] for c in text)


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
