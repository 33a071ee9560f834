"""The name of a bundled folder -> where it lies, in an installed wheel or in a checkout."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Literal

from effbatch.core.errors import RunError

_PACKAGE = Path(__file__).resolve().parent.parent
_CHECKOUT = {"templates": Path("reports/templates"), "simulations": Path("simulations")}


def bundled(name: Literal["templates", "simulations"]) -> Path:
    """Folder of the report templates or of the simulation specs; RunError where neither place has it."""
    installed = _PACKAGE / "bundled" / name
    checkout = _PACKAGE.parent / _CHECKOUT[name]
    for folder in (installed, checkout):
        if folder.is_dir():
            return folder
    raise RunError(
        f"effbatch needs its folder of {name}; neither {installed} nor {checkout} is there: install effbatch again",
        name=name,
    )


def font_url(file: str) -> str:
    """A font of the templates, as an address that holds it."""
    path = bundled("templates") / "fonts" / file
    return data_url(f"font/{path.suffix[1:]}", path.read_bytes())


def data_url(kind: str, content: bytes) -> str:
    """An address that holds what it points to."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
