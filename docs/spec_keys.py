"""The declared keys of a spec -> the tables of docs/spec.md; `python docs/spec_keys.py` writes them anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from effbatch import claims
from effbatch.plan.keys import Key, keys_of
from effbatch.plan.options import DATA, GRID, NOT_IN_GRID, SIMULATION, TRAIN, Data, Train

PAGE = Path(__file__).parent / "spec.md"
TABLES: Mapping[str, tuple[Mapping[str, Key], Mapping[str, Any]]] = {  # keys and their defaults
    "simulation": (SIMULATION, {}),
    "data": (DATA, vars(Data())),
    "train": (TRAIN, vars(Train())),
    "grid": (GRID, {}),
}
END = "<!-- end of keys -->"


def with_tables(page: str) -> str:
    """The page with the tables that its marks ask for in place of what stands there."""
    for name in TABLES:
        before, start, after = page.partition(f"<!-- keys of [{name}] -->\n")
        page = f"{before}{start}\n{table(name)}\n{END}{after.partition(END)[2]}"
    before, start, after = page.partition("<!-- claims -->\n")
    return f"{before}{start}\n{claims_table()}\n{END}{after.partition(END)[2]}"


def claims_table() -> str:
    """The kinds of [claim] as Markdown, each with what it asks and its keys."""
    rows = ["| `kind` | asks whether | key | default | takes | meaning |", "|---|---|---|---|---|---|"]
    for kind in claims.kinds():
        claim, first = claims.get(kind), True
        for key, declared in keys_of(claim).items():
            said = f"`{kind}` | {claim.asks}" if first else " | "
            default = _toml(claim().rule[key])
            rows.append(f"| {said} | `{key}` | `{default}` | {declared.needs} | {declared.meaning} |")
            first = False
    return "\n".join(rows) + "\n"


def table(name: str) -> str:
    """The keys of a table of the spec as Markdown: default, what they take, what they mean."""
    keys, defaults = TABLES[name]
    rows = ["| key | default | takes | meaning |", "|---|---|---|---|"]
    for key, declared in keys.items():
        since = f" (since {declared.since})" * (declared.since != "0.1")
        default = f"`{_toml(defaults[key])}`" if defaults.get(key) is not None else ""
        takes = "a list of different values, each " * (name == "grid") + declared.needs
        rows.append(f"| `{key}` | {default} | {takes} | {declared.meaning}{since} |")
    if name == "grid":
        rows.append(
            f"| any key of [data] or [train] but {', '.join(NOT_IN_GRID)} | | a list of different values | one more "
            "dimension of the cube; a budget is named there by its label, `500 steps` |"
        )
    return "\n".join(rows) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(one)}' for key, one in value.items())} }}"
    return json.dumps(value)


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
