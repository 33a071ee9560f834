"""`effbatch doctor`: whether everything effbatch needs is usable here, and how to get what is not."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import click

from effbatch.cli.options import DATA_DIR

PANGO = (
    "the system library Pango is missing; Debian, Ubuntu: apt-get install libpango-1.0-0 libpangoft2-1.0-0 "
    "libharfbuzz-subset0; Fedora: dnf install pango; macOS: brew install pango"
)


def _torch() -> str:
    import torch

    cuda = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU found, training runs on the CPU"
    return f"{torch.__version__}; {cuda}"


def _weasyprint() -> str:
    try:
        return str(importlib.import_module("weasyprint").__version__)
    except OSError as error:
        raise RuntimeError(PANGO) from error


def _charts() -> str:
    return str(importlib.import_module("vl_convert").__version__)


def _data() -> str:
    from effbatch.training import datasets

    here = {name: datasets.is_here(name) for name in datasets.names()}
    usable = ", ".join(f"{name} ({datasets.where(name)})" for name in here if here[name])
    others = ", ".join(name for name in here if not here[name])
    return f"{usable}; not here: {others} (`effbatch datasets` says how to get them)" if others else usable


CHECKS: dict[str, Callable[[], str]] = {
    "PyTorch": _torch,
    "PDF (WeasyPrint)": _weasyprint,
    "charts": _charts,
    "data sets": _data,
}


@click.command()
@DATA_DIR
def command() -> None:
    """Check PyTorch, the GPU, the PDF library and the data sets; exit 1 if something is missing."""
    failed = False
    for name, check in CHECKS.items():
        try:
            click.echo(f"ok       {name}: {check()}")
        except Exception as error:  # a broken install can raise anything; each check must report, not end the command
            failed = True
            click.echo(f"missing  {name}: {error}")
    if failed:
        raise SystemExit(1)
