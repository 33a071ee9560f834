"""Grids at the limits of the allowed range train and fit; folders and cubes that cannot be read are named."""

from __future__ import annotations

import os

import numpy as np
import pytest
from bad_input import answered, refused, run

LITTLE = {"digits": "little.npz", "steps = 20": "steps = 4", "clean_examples = 100\n": "", "mlp1": "perceptron"}
ODD_GRIDS = {
    "every run diverges": {"[0.1, 0.4]": "[1e14, 1e15]"},
    "tiny rates": {"[0.1, 0.4]": "[1e-15, 1e-14]"},
    "one rate": {"[0.1, 0.4]": "[0.1]"},
    "one step": {"steps = 4": "steps = 1", "evaluations = 3": "evaluations = 1"},
    "batch larger than the data": {"[8]": "[100]"},
    "α of a million, fixed": {"[0, 2.5]": "[1e6]", "[data]": '[data]\ncopies = "fixed"'},
    "α of 10¹⁵": {"[0, 2.5]": "[1e15]"},
    "α of 10¹⁵, expected": {"[0, 2.5]": "[1e15]", "[data]": '[data]\ncopies = "expected"'},
    "least epochs": {"{ steps = 4 }": "{ epochs = 1e-9 }", "evaluations = 3": "evaluations = 1"},
    "large seed": {"seed = 2": "seed = [1000000000000000]"},
    "huge decay": {"[train]": "[train]\nweight_decay = 1e15"},
}


@pytest.fixture(autouse=True)
def spec(tmp_path, monkeypatch, little_images, spec_text) -> str:
    """The text of a spec of a few short runs on little.npz."""
    monkeypatch.chdir(tmp_path)
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez("little.npz", **{name: getattr(little_images, name) for name in names})
    return replaced(spec_text, LITTLE)


def replaced(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def simulate(text: str, out: str = "out", *, code: int = 0) -> str:
    with open("spec é.toml", "w", encoding="utf-8") as file:
        file.write(text)
    result = run("simulate", "spec é.toml", "--out", out, "--device", "cpu")
    assert result.exit_code == code, (result.output, result.exception)
    return result.stderr.splitlines()[-1]


@pytest.mark.parametrize("changes", ODD_GRIDS.values(), ids=list(ODD_GRIDS))
def test_odd_grids_are_trained_and_fitted(changes, spec):
    simulate(replaced(spec, changes))
    assert answered("fit", "out", "--target", "0.5", "--json")["best_learning_rates"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("{ steps = 4 }", "{ epochs = 1e12 }", r"a budget may buy at most 1e+12 steps; 1e+12 epochs at alpha = 0"),
        (
            "[data]",
            "[data]\nclean_examples = 61",
            "at most the 60 training images of little.npz, got 61: ask for fewer",
        ),
        ("little.npz", "no\\u0000where.npz", r"no\x00where.npz is not an .npz file of plain arrays ("),
        ("little.npz", "../nowhere", "data set '../nowhere' is not known"),
        ("perceptron", "\\u001b[31m", r"network '\x1b[31m' is not known"),
    ],
)
def test_what_cannot_be_trained_is_named(old, new, sentence, spec):
    assert sentence in simulate(replaced(spec, {old: new}), code=2)


def test_paths_with_spaces_and_other_letters(spec):
    simulate(spec, "aus gäbe 日本")
    assert answered("fit", "aus gäbe 日本", "--json")


@pytest.mark.parametrize("path", ["nowhere", ".", "little.npz", "empty", "", "\udcff"])
@pytest.mark.parametrize("command", ["fit", "report"])
def test_what_is_no_cube_is_named(command, path):
    open("empty", "w").close()
    refused(command, path)


@pytest.mark.parametrize(
    ("out", "code"), [("file", 2), ("file/below", 1), ("x" * 300, 1), ("locked/out", 1)],
    ids=["file", "below", "long", "locked"]
)  # fmt: skip
def test_a_folder_that_cannot_be_written_is_named(out, code, spec):
    open("file", "w").close()
    os.makedirs("locked", mode=0o500)
    if out.startswith("locked") and os.access("locked", os.W_OK):
        pytest.skip("this user may write everywhere")
    with open("spec.toml", "w") as file:
        file.write(spec)
    assert "out" in refused("simulate", "spec.toml", "--out", out, "--device", "cpu", code=code)


def test_a_report_goes_only_where_it_can_be_written(spec):
    simulate(spec)
    assert "--out needs a name that ends in .pdf or .html or .md, got 'report.doc'" in refused(
        "report", "out", "--out", "report.doc"
    )


def test_a_name_of_a_data_set_never_ends_a_path(spec):
    """However long and odd the name on the command line, the folder's name is made of letters, digits, - and _."""
    from effbatch.plan.spec import parse

    name = parse(spec, dataset="../" * 200 + "x/<y>.npz").name
    assert len(name) <= 120
    assert name.replace("-", "").replace("_", "").isalnum()
