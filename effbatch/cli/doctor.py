"""`effbatch doctor`: whether everything effbatch needs is usable here, and how to get what is not."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import click

from effbatch.cli.options import DATA_DIR, JSON, echo_json
from effbatch.core.pages import Page
from effbatch.show import terminal

PANGO = (
    "the system library Pango is missing; Debian, Ubuntu: apt-get install libpango-1.0-0 libpangoft2-1.0-0 "
    "libharfbuzz-subset0; Fedora: dnf install pango; macOS: brew install pango"
)


def _torch() -> str:
    import torch

    if torch.cuda.is_available():
        return f"{torch.__version__}; {torch.cuda.get_device_name()}"
    cuda = "no GPU found, training runs on the CPU"
    if shutil.which("nvidia-smi"):
        cuda = "this machine has an NVIDIA driver that this PyTorch cannot use: see pytorch.org for the build that can"
    return f"{torch.__version__}; {cuda}"


def _weasyprint() -> str:
    try:
        return str(importlib.import_module("weasyprint").__version__)
    except OSError as error:
        raise RuntimeError(PANGO) from error


def _charts() -> str:
    return str(importlib.import_module("vl_convert").__version__)


def _data() -> str:
    from effbatch.data import datasets

    here = {name: datasets.is_here(name) for name in datasets.names()}
    usable = ", ".join(f"{name} ({datasets.where(name)})" for name in here if here[name])
    others = ", ".join(name for name in here if not here[name])
    return f"{usable}; not here: {others} (`effbatch datasets --all` says how to get them)" if others else usable


def _hub() -> str:
    try:
        return version("datasets")
    except PackageNotFoundError as error:
        raise RuntimeError("not installed; pip install 'effbatch[hub]' lets data sets be named hub:NAME") from error


CHECKS: dict[str, Callable[[], str]] = {
    "PyTorch": _torch,
    "PDF (WeasyPrint)": _weasyprint,
    "charts": _charts,
    "data sets": _data,
    "Hugging Face hub": _hub,
}
OPTIONAL = {"Hugging Face hub"}


@click.command()
@DATA_DIR
@JSON
def command(as_json: bool) -> None:
    """Check PyTorch, the GPU, the PDF library and the data sets; exit 1 if something is missing.

    \b
    effbatch doctor
    effbatch doctor --json
    """
    found = [_run(name) for name in CHECKS]
    missing = [check["name"] for check in found if check["state"] == "missing"]
    if as_json:
        echo_json(found)
    else:
        said = [f"{check['state']:<8} {check['name']}: {check['says']}" for check in found]
        terminal.echo(
            Page(f"Missing: {', '.join(missing)}." if missing else "Nothing that effbatch needs is missing.", said)
        )
    if missing:
        raise SystemExit(1)


def _run(name: str) -> dict[str, str]:
    try:
        return {"name": name, "state": "ok", "says": CHECKS[name]()}
    except Exception as error:  # a broken install can raise anything; each check must report, not end the command
        return {"name": name, "state": "optional" if name in OPTIONAL else "missing", "says": str(error)}
