"""Fixed command lines, each with the tolerance of its numbers -> what they print as JSON today."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from click.testing import CliRunner

from effbatch.cli import main

HERE = Path(__file__).parent
RECORDED = HERE / "recorded"
INPUTS = HERE / "inputs"
SWEEPS = HERE / "sweep_0_1"
RESULTS = HERE.parent.parent / "simulations" / "results"

CLOSED, FITTED, TRAINED = 1e-9, 1e-6, 1e-4  # relative: formulas; fits of a cube; what PyTorch computes
LARGE = "predict --alpha 50 --batch 128"
THEORY = "--no-training"


class Case(NamedTuple):
    command: str
    tolerance: float = CLOSED


CASES = {
    "predict": Case(LARGE),
    "predict_anchor": Case(f"{LARGE} --anchor-lr 0.1 --anchor-batch 128"),
    "predict_noisy_anchor": Case(f"{LARGE} --anchor-lr 0.1 --anchor-batch 32 --anchor-alpha 3"),
    "predict_many": Case("predict --alpha 0 --alpha 1 --alpha 10.5 --batch 1 --batch 256"),
    "predict_interval": Case(f"{LARGE} --alpha-interval 40 70"),
    "predict_structured": Case("predict --alpha 20 --batch 128 --noise structured --delta 0.8"),
    "predict_matrix": Case(f"predict --alpha 2 --batch 64 --matrix {INPUTS}/matrix.csv"),
    "predict_classes": Case(f"{LARGE} --classes 100"),
    "predict_momentum": Case(f"{LARGE} --optimizer momentum --anchor-lr 0.1 --anchor-batch 64"),
    "predict_adam": Case(f"{LARGE} --optimizer adam --anchor-lr 0.001 --anchor-batch 64"),
    "predict_adadelta": Case(f"{LARGE} --optimizer adadelta"),
    "predict_cosine": Case(f"{LARGE} --schedule cosine --steps 400"),
    "predict_examples": Case(f"{LARGE} --examples 50000 --anchor-lr 0.1 --anchor-batch 64"),
    "predict_estimated": Case(f"predict --batch 128 --from-estimate {RECORDED}/estimate_checked.json"),
    "predict_noise_rate": Case("predict --noise-rate 0.3 --batch 128"),
    "predict_transition": Case(f"predict --transition {INPUTS}/matrix.csv --batch 128"),
    "estimate_checked": Case("estimate --checked 200 --wrong 66 --classes 10"),
    "estimate_wilson": Case("estimate --checked 200 --wrong 66 --classes 10 --method wilson --confidence 0.9"),
    "estimate_examples": Case("estimate --checked 200 --wrong 66 --classes 10 --examples 5000"),
    "estimate_all_wrong": Case("estimate --checked 20 --wrong 20 --classes 10"),
    "estimate_counts": Case(f"estimate --counts {INPUTS}/counts.csv"),
    "estimate_bounds": Case("estimate --classes 10 --train-loss 1.9 --holdout-accuracy 0.55"),
    "advise": Case(f"advise mlp1 digits {THEORY} --steps 20 --batch 8 --batch 16 --alpha 3", TRAINED),
    "advise_network": Case(f"advise mlp1 digits {THEORY} --alpha 6 --batch 32 --steps 40", TRAINED),
    "advise_order": Case(
        f"advise mlp1 digits {THEORY} --alpha 6 --batch 32 --steps 40 --noise structured --delta 0.5 --order confusion",
        TRAINED,
    ),
    "advise_momentum": Case(
        f"advise mlp1 digits {THEORY} --alpha 2 --batch 8 --steps 20 --optimizer momentum", TRAINED
    ),
    "advise_nothing_known": Case(f"advise perceptron digits {THEORY} --examples 2000 --batch 16", TRAINED),
    "advise_checked": Case(f"advise mlp1 digits {THEORY} --steps 20 --batch 8 --checked 50 --wrong 20", TRAINED),
    "measure": Case("measure mlp1 digits --examples 100 --alpha 0 --alpha 5 --per-layer --device cpu", TRAINED),
    "laws": Case("laws"),
    "fit_digits_adam": Case(f"fit {RESULTS}/digits --name learning_rate_adam", FITTED),
    "fit_digits_collapse": Case(f"fit {RESULTS}/digits --name effective_batch --target 0.85", FITTED),
    "fit_fashion_adadelta": Case(
        f"fit {RESULTS}/fashion-mnist-14 --name learning_rate_adadelta-fashion-mnist-14", FITTED
    ),
    "fit_folder": Case(f"fit {SWEEPS}/finished --target 0.5", FITTED),
    "fit_cube": Case(f"fit {SWEEPS}/validated/cube.nc", FITTED),
}


def run(command: str) -> str:
    """What a command prints; the test fails where it fails."""
    result = CliRunner().invoke(main, command.split())
    assert result.exit_code == 0, f"{command}: {result.output}"
    return result.stdout


def answer(case: Case) -> Any:
    """What a command prints as JSON; how long it took, another in every run, becomes 0."""
    found = json.loads(run(f"{case.command} --json"))
    if "overhead" in found:
        found["overhead"] = dict.fromkeys(found["overhead"], 0.0)
    return found


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))


def options() -> dict[str, dict[str, dict[str, Any]]]:
    """Command -> its arguments and options, each with its help and the values to choose from."""
    return {
        name: {
            " ".join([*option.opts, *option.secondary_opts]): {
                "help": getattr(option, "help", None),
                "choices": list(getattr(option.type, "choices", [])),
                "required": option.required,
            }
            for option in main.get_command(None, name).params
        }
        for name in main.list_commands(None)
    }


def report() -> str:
    """The report of the small sweep, as Markdown."""
    with TemporaryDirectory() as folder:
        made = Path(folder) / "report.md"
        run(f"report {SWEEPS}/validated/cube.nc --out {made}")
        return made.read_text(encoding="utf-8")


def built_in_data() -> dict[str, Any]:
    """What `datasets` says on any machine: the names, the keys, and the set that is embedded."""
    found = answer(Case("datasets"))
    (digits,) = (data for data in found if data["name"] == "digits")
    return {"names": [data["name"] for data in found], "digits": digits}


def checks() -> list[str]:
    """The checks of `doctor` by name; what they say is each machine's own."""
    printed = CliRunner().invoke(main, ["doctor", "--json"]).stdout
    return [check["name"] for check in json.loads(printed)]
