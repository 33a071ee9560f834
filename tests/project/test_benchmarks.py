"""The readable records of the benchmarks are made of the stored numbers, and these of the stored rows."""

from __future__ import annotations

import importlib
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from effbatch.advice.evidence import MARGIN
from effbatch.data.dataset import DataSet

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DOCS = BENCHMARKS.parent / "docs"
RESULTS = BENCHMARKS / "results"


@pytest.fixture
def script(monkeypatch):
    """A function from the name of a script of benchmarks/ to its module."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module
    for path in BENCHMARKS.glob("*.py"):
        sys.modules.pop(path.stem, None)


def stored(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "name",
    [
        "all_copies",
        "human_labels",
        "image_sets",
        "precision",
        "prediction",
        "rivals",
        "staying_labels",
        "theory",
        "throughput",
    ],
)
def test_the_page_is_made_of_the_stored_numbers(script, name):
    assert script(name).as_markdown(stored(name)) == (RESULTS / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["further", "further_10", "learnable", "learnable_10", "brought", "brought_10"])
def test_the_pages_of_other_cells_are_made_of_the_stored_numbers(script, name):
    made = script("staying_labels").as_markdown(stored(f"staying_labels_{name}"))
    assert made == (RESULTS / f"staying_labels_{name}.md").read_text(encoding="utf-8")


PROMISES = {  # name of a row -> number of the rows of a record, its scale and digits
    "rate off by (median, powers of two)": (lambda rows: np.median([row["error"] for row in rows]), 1, 2),
    "90 % intervals that hold": (lambda rows: np.mean([row["inside"] for row in rows]), 100, 0),
    "points lost at the rate": (lambda rows: np.mean([row["regret"] for row in rows]), 1, 1),
    "accuracy promised too high by, points": (lambda rows: np.mean([row["accuracy_error"] for row in rows]), 1, 1),
    "accuracy off by (root mean square, points)": (
        lambda rows: math.sqrt(np.mean([row["accuracy_error"] ** 2 for row in rows])), 1, 1,
    ),
    "its 90 % intervals that hold *": (lambda rows: np.mean([row["accuracy_inside"] for row in rows]), 100, 0),
    "points lost at the lower end of the plateau *": (lambda rows: np.mean(_ends(rows)[:, 0]), 1, 1),
    "at its upper end *": (lambda rows: np.mean(_ends(rows)[:, 1]), 1, 1),
    "plateaus with less than one point lost at both ends *": (lambda rows: np.mean(_ends(rows).max(1) < 1), 100, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", PROMISES)
def test_what_the_probe_promises_by_kind_of_label_is_what_was_recorded(script, name):
    advice, (of, scale, digits) = script("advice"), PROMISES[name]
    fresh = [row for record in ("advice", "advice_dense") for row in stored(record)["rows"]]
    fresh = [row for row in fresh if row["method"] == "probe" and row["answers"]]
    kinds = [
        [row for row in fresh if row["alpha"] == 0],
        [row for row in fresh if row["alpha"] > 0],
        stored("staying_labels")["rows"] + stored("staying_labels_further")["rows"],
        [row for row in stored("human_labels")["rows"] if row["people"]],
        stored("staying_labels_learnable")["rows"],
        stored("staying_labels_learnable_10")["rows"],
    ]
    page = (DOCS / "when-it-fails.md").read_text(encoding="utf-8")
    (line,) = (line for line in page.splitlines() if line.startswith(f"| {name} |"))
    for rows, said in list(zip(kinds, line.split("|")[2:-1], strict=True))[2 * name.endswith("*") :]:
        value, low, high = (f"{scale * x:.{digits}f}".replace("-", "−") for x in (of(rows), *advice.interval(rows, of)))
        spread = f", n = {len(rows)}" if low == high else f" [{low}, {high}]"
        assert said.strip() == f"{value}{' %' * (scale == 100)}{spread}"


def _ends(rows) -> np.ndarray:
    """Points lost at the ends of every plateau, (probes, 2)."""
    return np.concatenate([np.reshape(row["ends"], (-1, 2)) for row in rows])


def test_the_coverage_of_the_laws_is_what_was_recorded_and_the_margin_that_of_the_code():
    """Shares that the how-to quotes, and how far beyond the record an interval is given."""
    page = " ".join((DOCS / "howto" / "rate.md").read_text(encoding="utf-8").split())
    for law, by_anchor in stored("law_coverage").items():
        for kind, found in by_anchor.items():
            shares = [
                f"{100 * of['share']:.0f} % [{100 * of['interval'][0]:.0f}, {100 * of['interval'][1]:.0f}]"
                for of in (found["pooled"], found["one"])
            ]
            assert f"| `{law}` | {kind} | {found['records']} | {shares[0]} | {shares[1]} |" in page
    clean = stored("law_coverage")["square_root_clean_count"]["clean"]["pooled"]["of"]
    assert min(clean, key=clean.get) == "learning_rate perceptron"
    assert f"softmax regression on digits carried from clean labels, {100 * min(clean.values()):.0f} %" in page
    assert MARGIN == 2
    assert "given up to twice the recorded batch sizes, classes and steps, down to half of them, and for no α" in page


def test_the_tables_of_the_methods_are_made_of_the_stored_rows(script):
    record, prediction = stored("prediction"), script("prediction")
    rows = [{key: math.nan if value is None else value for key, value in row.items()} for row in record["rows"]]
    held_out = [row for row in rows if not row["tuned"]]
    assert 0 < len(held_out) < len(rows)
    assert prediction.summary(rows) == record["tables"]["All cases"]
    assert prediction.summary(held_out) == record["tables"]["Held-out cases"]


def test_everything_of_the_gpu_script_runs_small_on_a_cpu(script, tmp_path, monkeypatch):
    gpu, rng = script("gpu"), np.random.default_rng(0)
    x, y = rng.normal(size=(320, 1, 8, 8)).astype(np.float32), rng.integers(0, 10, 320)
    monkeypatch.setattr(
        gpu.mnist,
        "load",
        lambda: DataSet(
            name="mnist", x_train=x, y_train=y, x_test=x[:40], y_test=y[:40], num_classes=10, source="made here"
        ),
    )
    monkeypatch.setattr(gpu, "pick_device", lambda: gpu.CPU)
    for name, value in (("SECONDS", 0.01), ("UNIT_STEPS", 4)):
        monkeypatch.setattr(script("throughput"), name, value)
    monkeypatch.setattr(gpu, "UNIT_STEPS", 4)
    assert gpu.main([str(tmp_path), str(tmp_path / "out"), "--small"]) == 0
    found = json.loads((tmp_path / "out" / "gpu.json").read_text(encoding="utf-8"))
    assert all(row["same"] for row in found["same numbers"])
    assert len(found["same numbers"]) == 10
    assert all(row["effbatch"] > 0 and row["effbatch without graphs"] > 0 for row in found["speed"])
    assert [row["of"] for row in found["figure 1"]][:2] == ["perceptron, α = 0", "perceptron, α = 5"]
    assert len(found["figure 1"]) == 10
    assert (tmp_path / "out" / "gpu.md").read_text(encoding="utf-8") == gpu.as_markdown(found)


def test_the_gpu_script_begins_nothing_when_its_time_is_up_and_sees_other_numbers(script, tmp_path):
    gpu = script("gpu")
    plan = gpu.Plan(None, tmp_path, gpu.CPU, found={"environment": {}})
    gpu.figure_1(plan)
    assert {row["skipped"] for row in plan.found["figure 1"]} == {"out of time"}
    here = {"train_loss": np.array([1.0, np.nan]), "test_loss": np.array([2.0, 2.0])}
    assert gpu.greatest_difference(here, {**here, "test_loss": np.array([2.0, 2.1])}) == pytest.approx(0.05)
    assert gpu.greatest_difference(here, {**here, "train_loss": np.array([1.0, 1.0])}) == math.inf


def test_the_kernel_that_adam_sees_is_that_of_the_scaled_coordinates(script):
    import torch
    from torch import nn

    net = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 2))
    scale = {name: torch.rand_like(w) for name, w in net.named_parameters()}
    scaled, x = script("theory_adam").Scaled(net, scale), torch.randn(4, 3)
    assert torch.equal(scaled(x), net(x))

    def jacobian(network):
        return [
            torch.cat([g.flatten() for g in torch.autograd.grad(network(one[None])[0, 0], list(network.parameters()))])
            for one in x
        ]

    J, ours = torch.stack(jacobian(net)), torch.stack(jacobian(scaled))
    D = torch.cat([d.flatten() for d in scale.values()])
    torch.testing.assert_close(ours @ ours.T, J @ torch.diag(D) @ J.T)


def test_exponents_of_a_power_law_come_back(script):
    alpha, B = (grid.ravel() for grid in np.meshgrid([0.0, 1, 3, 7], [8.0, 32, 128]))
    found = script("theory").fitted(alpha, B, 0.1 * B**0.6 * (1 + alpha) ** -0.4)
    assert [found["batch_size"][0], found["alpha"][0]] == pytest.approx([0.6, -0.4])


def test_the_exponent_of_known_curves_comes_back(script):
    delta = script("theory_delta")
    grid = delta.Grid(
        np.array([0.0, 1, 3, 7]), np.array([8, 32, 128]), np.array([0.5, 1.0, 2.0]), np.geomspace(5, 5000, 40)
    )
    alpha, B, rate, step = np.meshgrid(grid.alpha, grid.batch_size, grid.learning_rate, grid.step, indexing="ij")
    needed = 20 * (1 + 5 * (1 + alpha) ** 1.5 / B) * np.exp(np.log(rate) ** 2)
    curves = np.clip(0.5 + 0.1 * np.log(step / needed), 0, 1)
    assert delta.exponent(curves, grid, 0.5, 10) == pytest.approx(1.5, abs=0.01)


class Peaked:
    """A search whose score, at any step, falls off from the rate 2^-6, and less so after few steps."""

    steps, seed = 500, 0

    def __init__(self):
        self.trained = 0

    def start(self, rate):
        done = 0

        def on_to(step):
            nonlocal done
            self.trained, done = self.trained + step - done, step
            return -((math.log2(rate) + 6) ** 2) * step / self.steps

        return on_to

    def cost(self, steps, scorings=1):
        return steps / self.steps + 0.01 * scorings


@pytest.mark.parametrize(("name", "within"), [("best of short runs", 2), ("Optuna TPE, ASHA, slow", 3)])
def test_a_rival_finds_a_known_rate_within_its_budget(script, name, within):
    package, method = script("rivals").RIVALS[name]
    pytest.importorskip(package)
    search = Peaked()
    (answer,) = method(search)
    assert abs(answer.octave + 6) < within
    assert 1.2 < answer.cost <= 1.5
    assert search.trained / search.steps < answer.cost < 1.25 * search.trained / search.steps


def test_one_full_run_of_optuna_is_a_random_rate(script):
    pytest.importorskip("optuna")
    search = Peaked()
    answers = script("rivals").optuna_full(search)
    assert search.trained == 0
    assert np.std([a.octave for a in answers]) == pytest.approx(16 / 12**0.5, rel=0.3)
    search.steps, search.cost = 100, lambda steps, scorings=1: steps / 500
    (answer,) = script("rivals").optuna_full(search)
    assert (search.trained, answer.cost) == (700, pytest.approx(1.4))


def test_the_range_test_suggests_where_the_loss_falls_most(script):
    rates = np.geomspace(2.0**-16, 1, 100)
    losses = 2.3 - 2 / (1 + np.exp(-(np.arange(100) - 60) / 2))
    at = int(np.argmin(np.abs(np.log2(rates) - script("rivals").suggested(rates, losses))))
    assert 58 <= at <= 66  # a smoothed loss lags behind
    assert math.isnan(script("rivals").suggested(rates, [*losses[:12], math.nan]))


@pytest.fixture
def task(script):
    """The rivals' view of a cell of 120 steps on 400 images, whose recorded accuracy is highest at 2^-5."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 1, 8, 8)).astype(np.float32), rng.integers(0, 10, 400)
    x[np.arange(400), 0, 0, y % 8] += 4
    data = DataSet(
        name="made", x_train=x, y_train=y, x_test=x[:100], y_test=y[:100], num_classes=10, source="made here"
    )
    train = {"network": "mlp1", "optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.0, "schedule": "cosine"}
    octaves = np.arange(-9.0, -1)
    accuracy = np.tile((0.5 - (octaves + 5) ** 2 / 100)[:, None], 4)
    cell = script("advice").Cell(
        simulation="recipe_made",
        train={**train, "budget": {"steps": 120}},
        dataset="made",
        alpha=1.0,
        batch_size=16,
        octaves=octaves,
        accuracy=accuracy,
    )
    return script("rivals").Task(cell, data, script("rivals").held_out_of(data, most=300))


def test_the_luck_of_a_search_is_another_one_in_every_cell(task):
    other = replace(task, cell=replace(task.cell, alpha=2.0))
    assert task.seed == replace(task).seed != other.seed


def test_a_rival_trains_the_recipe_and_its_run_goes_on_where_it_stopped(script, task):
    in_parts, whole = task.start(2.0**-5), task.start(2.0**-5)
    early = in_parts(40)
    assert early < in_parts(120) == whole(120)
    (found,) = script("rivals").range_test(task)
    assert -16 < found.octave < 0
    assert found.cost == pytest.approx(100 / 120)


@pytest.mark.parametrize("name", ["Prodigy", "D-Adaptation", "schedule-free"])
def test_a_rate_free_rival_learns(script, task, name):
    package, method = script("rivals").RIVALS[name]
    pytest.importorskip(package)
    answers = method(replace(task, cell=replace(task.cell, alpha=0.0)))
    assert [a.cost for a in answers] == [0, 0]
    assert np.isnan([a.octave for a in answers]).all()
    assert min(a.accuracy for a in answers) > 0.2  # chance is 0.1
    row = script("rivals").row_of(task.cell, name, answers)
    assert row["regret"] == pytest.approx(100 * (0.5 - np.mean([a.accuracy for a in answers])))


def test_answers_are_kept_and_the_page_pairs_them_with_the_probe(script, task, tmp_path, monkeypatch):
    rivals, name = script("rivals"), "best of short runs"
    monkeypatch.setattr(rivals, "task_of", lambda cell: task)
    assert rivals.answers_of(task.cell, name, tmp_path, cached=True) is None
    answers = rivals.answers_of(task.cell, name, tmp_path, cached=False)
    assert repr(rivals.answers_of(task.cell, name, tmp_path, cached=True)) == repr(answers)  # NaN is not NaN
    row = rivals.row_of(task.cell, name, answers)
    assert row["regret"] == pytest.approx(task.cell.regret(answers[0].octave))
    far = [rivals.Answer(octave) for octave in (-12.0, -9.0, -5.0, -1.0)]
    assert rivals.row_of(task.cell, name, far)["beyond"] == 0.5
    probe = [{**row, "method": "probe", "regret": row["regret"] + 1}]
    record = rivals.record_of([row], probe)
    assert record["methods"][name]["regret less the probe's"]["value"] == pytest.approx(-1)
    assert "-1.00 [-1.00, -1.00]" in rivals.as_markdown(json.loads(json.dumps(record)))


def test_a_rival_without_its_package_is_skipped_with_a_message(script, task, tmp_path, monkeypatch, capsys):
    rivals = script("rivals")
    monkeypatch.setitem(rivals.RIVALS, "Prodigy", ("no_such_package", rivals.range_test))
    assert rivals.answers_of(task.cell, "Prodigy", tmp_path, cached=False) is None
    assert "Prodigy needs the package no_such_package" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["delta_zero"])
def test_predictions_of_the_exponent_of_the_effective_batch_come_again(script, name):
    told = stored("theory_delta_predicted")
    assert script("theory_delta").predicted(name, Path()) == told["again"][name] == told[name]
    assert set(told["made"]) == set(told["again"]) == set(script("theory_delta").TOLD)


def second_moments(modes: np.ndarray, K: int, batch: int, rate: float, momentum: float, label_noise: float) -> float:
    """Σ c in the long run, the 2×2 covariance of every mode's present and last coefficient followed step by step."""
    x, covariance = rate * modes / K, np.zeros((len(modes), 2, 2)) + np.eye(2)
    step = np.array([[[1 + momentum - one, -momentum], [1, 0]] for one in x])
    for _ in range(2000):
        c = covariance[:, 0, 0]
        noise = x**2 / batch * (c + c.sum() + label_noise)
        covariance = step @ covariance @ step.transpose(0, 2, 1)
        covariance[:, 0, 0] += noise
        if covariance.max() > 1e30:
            return np.inf
    return float(covariance[:, 0, 0].sum())


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_the_last_layer_alone_is_lost_where_its_curvature_and_its_noise_say(script, momentum):
    import torch

    last_layer, K = script("last_layer"), 4
    features = torch.rand(40, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    modes = np.linalg.eigvalsh((features.T @ features / 40).numpy())
    loss, start = torch.nn.functional.cross_entropy, torch.zeros(6 * K, dtype=torch.float64)
    H = torch.autograd.functional.hessian(lambda w: loss(features @ w.reshape(6, K), torch.arange(40) % K), start)
    whole = float(last_layer.last_layer_cap(modes, K, 0.0, 1e12, momentum))
    assert whole == pytest.approx(2 * (1 + momentum) / float(torch.linalg.eigvalsh(H)[-1]), rel=1e-6)
    edge = float(last_layer.last_layer_cap(modes, K, 0.0, 2, momentum))
    assert second_moments(modes, K, 2, 1.1 * edge, momentum, 0.0) > 1e6
    assert second_moments(modes, K, 2, 0.9 * edge, momentum, 0.0) < 1e-3
    noise = float(last_layer.noise_of_last_layer(modes, K, 2, 0.3 * edge, momentum))
    assert second_moments(modes, K, 2, 0.3 * edge, momentum, 7.0) == pytest.approx(7 * noise, rel=1e-6)


def test_adam_is_unstable_beyond_the_edge_of_the_sharpness_that_it_sees(script):
    """A quadratic of two modes, whose v is what its curvature divides: beyond the edge the steeper one runs away."""
    sharpness, H, P = script("sharpness"), np.array([[3.0, 1], [1, 2]]), np.array([0.1, 0.4])
    edge = sharpness.adam_edge(np.linalg.eigvals(H / P[:, None]).max())
    for factor, lost in ((0.99, False), (1.01, True)):
        w, m = np.ones(2), np.zeros(2)
        for _ in range(4000):
            m = sharpness.BETA_1 * m + (1 - sharpness.BETA_1) * H @ w
            w = w - factor * edge * m / P
        assert (np.abs(w).max() > 10) == lost


def test_the_sharpness_that_adam_sees_is_that_of_the_whole_hessian(script):
    import torch
    from torch.func import functional_call
    from torch.nn.utils import parameters_to_vector

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
    x, y = torch.randn(9, 4), torch.arange(9) % 3
    flat = parameters_to_vector(net.parameters()).detach()
    squares = np.random.default_rng(0).uniform(0.01, 1, len(flat)) ** 2

    def loss(w):
        parts = dict(zip(dict(net.named_parameters()), w.split([p.numel() for p in net.parameters()]), strict=True))
        shaped = {name: parts[name].view_as(p) for name, p in net.named_parameters()}
        return torch.nn.functional.cross_entropy(functional_call(net, shaped, (x,)), y)

    H, root = torch.autograd.functional.hessian(loss, flat).numpy(), squares**0.25
    whole = np.linalg.eigvalsh(H / np.outer(root, root))[-1]
    assert script("sharpness").top_eigenvalue(net, x, y, squares) == pytest.approx(whole, rel=1e-3)


def test_predictions_of_where_networks_are_lost_come_again(script):
    caps = script("theory_caps")
    told = stored("theory_caps_predicted")
    assert set(told["made"]) == {case.name for case in caps.CASES} == set(told["cases"])
    assert caps.predicted(caps.Case("ln16")) == told["cases"]["caps_ln16_digits"]
    again, stood = caps.predicted(caps.Case("ln16", optimizer="adam")), told["cases"]["caps_ln16_digits_adam"]
    assert again == [pytest.approx(one, rel=0.02) for one in stood]


def test_the_figure_of_where_networks_are_lost_is_made_of_the_stored_rows(script):
    from effbatch.show import charts

    drawn = charts.draw(script("lost_tables").figure(stored("theory")["caps"]))
    assert drawn.svg == (DOCS / "figures" / "lost.svg").read_text(encoding="utf-8")


def test_a_network_is_lost_where_half_of_the_best_gain_is_left(script):
    lost = script("theory_caps").lost_from
    assert lost(2.0 ** np.arange(4), np.array([0.3, 0.9, 0.7, 0.3]), 10) == pytest.approx(2.5)  # half: 0.5
    assert lost(2.0 ** np.arange(4), np.array([0.3, 0.9, 0.7, 0.6]), 10) == np.inf
