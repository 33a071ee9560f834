"""The recorded verdicts -> the tables of docs/paper.md; `python docs/paper_record.py` writes them anew."""

from __future__ import annotations

import json
import re
from pathlib import Path

from effbatch.claims import claim_of
from effbatch.plan import spec

ROOT = Path(__file__).parent.parent
PAGE, SIMULATIONS = ROOT / "docs" / "paper.md", ROOT / "simulations"
DATA = {  # name of the data set and of the folder of its record -> what it shows
    "digits": "digits, 8×8",
    "fashion-mnist-14": "Fashion-MNIST, 14×14",
    "mnist": "MNIST, 28×28",
    "cifar10": "CIFAR-10, 32×32",
}
MARK, END = re.compile(r"<!-- recorded: (.*) -->\n"), "<!-- end -->"


def with_tables(page: str) -> str:
    """The page with a table of the simulations that each of its marks names, in place of what stands there."""
    parts = MARK.split(page)
    pages = [parts[0]]
    for names, text in zip(parts[1::2], parts[2::2], strict=True):
        pages.append(f"<!-- recorded: {names} -->\n\n{table(names.split())}\n{END}{text.partition(END)[2]}")
    return "".join(pages)


def table(names: list[str]) -> str:
    """What was predicted and found; `name:data` is one data set, `name` all with a record or a grid for a desktop."""
    rows = ["| simulation | data | predicted | measured | verdict |", "|---|---|---|---|---|"]
    for name, _, asked in (one.partition(":") for one in names):
        rows += [row for data in ([asked] if asked else DATA) for row in _rows(name, data, asked == data)]
    return "\n".join(rows) + "\n"


def _rows(name: str, data: str, asked: bool) -> list[str]:
    """One row; none where the simulation was not recorded on the data and has no grid for them."""
    file = SIMULATIONS / f"{name}.toml"
    own = spec.load(file)
    sets = own.grid.get("dataset", (own.data.dataset,))
    here = data in sets or (data == "cifar10" and any(one.startswith("cifar10n-") for one in sets))
    elsewhere = f"[on.{data}." in file.read_text(encoding="utf-8") and (data != "cifar10" or asked)
    called = own.name if here else f"{own.name}-{data}"
    found = _verdicts(data).get(called)
    if found is None and not (here or elsewhere):
        return []
    sweep = own if here else spec.load(file, dataset=data)
    head = f"| `{name}` | {DATA[data]} | {claim_of(sweep.claim, name).headline} |"
    if found is not None:
        return [f"{head} {found['finding']} | **{found['verdict']}** |"]
    command = f"effbatch validate {name}{'' if here else f' --dataset {data}'} --out {data}/{name}"
    return [f"{head} not yet recorded: `{command}` | |"]


def _verdicts(data: str) -> dict[str, dict]:
    """The recorded verdicts on a data set by the name of their sweep; empty where nothing is recorded."""
    file = SIMULATIONS / "results" / data / "verdicts.json"
    found = json.loads(file.read_text(encoding="utf-8"))["verdicts"] if file.is_file() else []
    return {one["simulation"]: one for one in found}


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
