"""`effbatch completion`: the name of a shell -> the script that makes it complete commands, options and names."""

from __future__ import annotations

import click

from effbatch.cli.options import Name


@click.command()
@click.argument("shell", type=Name(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL; the shell reads it when it starts.

    \b
    effbatch completion bash >> ~/.bashrc
    effbatch completion zsh >> ~/.zshrc
    effbatch completion fish > ~/.config/fish/completions/effbatch.fish
    """
    from click.shell_completion import get_completion_class

    shell_class = get_completion_class(shell)
    assert shell_class is not None  # click knows the three of the argument
    script = shell_class(ctx.find_root().command, {}, "effbatch", "_EFFBATCH_COMPLETE")
    click.echo(script.source_template % script.source_vars())
