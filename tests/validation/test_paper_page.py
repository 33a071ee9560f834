"""docs/paper.md says of every figure what the recorded verdicts say, and what it says in words follows from them."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "simulations" / "results"
PAGE = ROOT / "docs" / "paper.md"


@pytest.fixture(scope="module")
def made():
    return runpy.run_path(str(ROOT / "docs" / "paper_record.py"))


def recorded(name: str) -> dict[str, dict]:
    """The verdicts of a simulation by data set."""
    verdicts = {path.parent.name: json.loads(path.read_text("utf-8")) for path in RESULTS.glob("*/verdicts.json")}
    return {
        data: one
        for data, found in verdicts.items()
        for one in found["verdicts"]
        if one["simulation"] in (name, f"{name}-{data}")
    }


def test_the_page_holds_the_recorded_verdicts(made):
    page = PAGE.read_text(encoding="utf-8")
    assert made["with_tables"](page) == page, "python docs/paper_record.py"
    assert made["with_tables"](page.replace("**refuted**", "**supported**")) == page


def test_every_simulation_of_a_figure_is_on_the_page():
    page = PAGE.read_text(encoding="utf-8")
    for path in sorted((ROOT / "simulations").glob("*.toml")):
        if re.search(r'^figure = "Rolnick et al. 2017, (figure|section)', path.read_text("utf-8"), re.MULTILINE):
            assert f"| `{path.stem}` |" in page, path.stem


def test_what_is_not_recorded_is_said_with_its_command(made):
    table = made["table"](["human_noise", "networks:cifar10"])
    for name in ("human_noise", "networks --dataset cifar10"):
        if not recorded(name.split()[0]).get("cifar10"):
            assert f"not yet recorded: `effbatch validate {name} --out cifar10/{name.split()[0]}`" in table


def test_the_best_rate_falls_with_noise_in_every_record():
    for name in ("learning_rate", "learning_rate_adadelta", "learning_rate_adam", "recipe_conv2", "recipe_mlp2ln"):
        assert recorded(name)
        for one in recorded(name).values():
            powers = [number["value"] for number in one["numbers"] if number["label"] == "exponent of 1 + α"]
            assert max(powers) < 0 if powers else "(1+α)^−" in one["finding"], one["simulation"]


def test_white_noise_costs_the_shares_said():
    shares = {"a third of what": "digits", "two thirds of it": "fashion-mnist-14"}
    said = PAGE.read_text(encoding="utf-8")
    for (words, data), share in zip(shares.items(), (1 / 3, 2 / 3), strict=True):
        lost = [n["value"] for n in recorded("noise_source")[data]["numbers"] if n["label"].startswith("accuracy lost")]
        assert words in said
        assert min(lost) / max(lost) == pytest.approx(share, abs=0.04)
