"""Every answer plots: drawn alike by another Vega-Lite, with its intervals, told apart without colours, saved."""

from __future__ import annotations

import csv
import json
import sys
import types
from xml.etree import ElementTree

import numpy as np
import pytest
import synthetic
import torch
import vl_convert
from torch import nn

import effbatch
from effbatch.claims import Judgement, Verdict
from effbatch.core.errors import InputError, RunError
from effbatch.core.estimate import Estimate
from effbatch.core.figures import Axis, Figure, Number, Panel, Series
from effbatch.show.charts.drawing import PRINTED_INK
from effbatch.show.charts.look import COLOURS
from effbatch.show.plots import VEGA_LITE

SVG = "{http://www.w3.org/2000/svg}"
ALPHA, BATCH = (0.0, 1.0, 3.0, 7.0), (8, 32, 128)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


def tracked(data) -> effbatch.NoiseScaleTracker:
    tracker = effbatch.NoiseScaleTracker(network(), alpha=0.1, every=1, batches=1, overhead=1e9)
    for i in range(0, 60, 20):
        tracker.step(data.x_train[i : i + 20], data.y_train[i : i + 20])
    return tracker


def fitted(*, target: float | None = None):
    if target is None:
        return effbatch.fit(
            synthetic.peaked_cube(
                lambda a, b: 0.02 * np.sqrt(b / 32) / (1 + a) ** 0.5, alpha=ALPHA, batch_size=BATCH, noise=0.001
            )
        )
    cube = synthetic.rising_cube(
        lambda a, b, rate: 20 * (1 + 16 * (1 + a) ** 2 / b) * (rate / 0.1) ** 0.1,
        alpha=(0.0, 1.0, 3.0),
        batch_size=(8, 32, 128),
        learning_rate=(0.05, 0.1, 0.2),
        seeds=5,
        noise=0.05,
        target=target,
    )
    return effbatch.fit(cube, target=target)


def judged(_) -> Judgement:
    x = [1.0, 2.0]
    panel = Panel(Axis("a"), Axis("b"), [Series("m", "measured", x, x, low=[0.5, 1.5], high=[1.5, 2.5])])
    numbers, figures = [Number("error", Estimate(0.5, 0.4, 0.7, n=9))], [Figure("made", "", [panel])]
    return Judgement(verdict=Verdict.SUPPORTED, finding="a < b", numbers=numbers, figures=figures)


ANSWERS = {
    "one prediction": lambda _: effbatch.predict(6, 32, anchor=effbatch.Anchor(0.1, 128), alpha_interval=(4, 9)),
    "predictions along alpha": lambda _: [effbatch.predict(a, 32, alpha_interval=(a / 2, 2 * a)) for a in (1, 3, 7)],
    "predictions along batch size": lambda _: [effbatch.predict(a, b) for a in (0, 5) for b in (16, 64, 128)],
    "advice": lambda d: effbatch.advise(
        network,
        (d.x_train, d.y_train, d.x_test, d.y_test),
        alpha_interval=(2, 5),
        steps=50,
        batch_sizes=(8, 32),
        labels="clean",
        training=False,
    ),
    "advice without the theory": lambda d: effbatch.advise(
        network,
        (d.x_train, d.y_train, d.x_test, d.y_test),
        alpha=2,
        steps=50,
        optimizer="adam",
        labels="clean",
        training=False,
    ),
    "fit": lambda _: fitted(),
    "fit with a collapse": lambda _: fitted(target=0.7),
    "measured moments": lambda d: effbatch.measure_moments(network(), d.x_train, d.y_train, num_classes=3),
    "tracker": tracked,
    "verdict": judged,
}
NAMES = {
    "one prediction": ["laws"],
    "predictions along alpha": ["rate", "effective_batch"],
    "predictions along batch size": ["rate", "effective_batch"],
    "advice": ["batch_size", "labels"],
    "advice without the theory": ["batch_size", "labels"],
    "fit": ["best_rate", "accuracy"],
    "fit with a collapse": ["accuracy", "collapse"],  # no best rate lies inside three learning rates
    "measured moments": ["moments"],
    "tracker": ["tracker"],
    "verdict": ["made"],
}
WITHOUT_INTERVALS = {"advice without the theory"}


@pytest.fixture(scope="module", params=list(ANSWERS))
def case(request, little_images):
    return request.param, effbatch.plot(ANSWERS[request.param](little_images))


def rules(root: ElementTree.Element) -> int:
    """Interval bars: lines that clip to a panel and are thicker than those of the axes."""
    return sum(float(line.get("stroke-width", 1)) == 1.4 for line in root.iter(f"{SVG}line"))


def test_every_answer_has_its_figures_drawn_alike_by_the_vega_lite_of_notebooks(case):
    kind, plots = case
    assert plots.names == NAMES[kind]
    for plot in plots:
        bundle, metadata = plot._repr_mimebundle_()
        root = ElementTree.fromstring(bundle["image/svg+xml"])
        assert root.tag == f"{SVG}svg"
        older = json.loads(json.dumps(bundle[VEGA_LITE], allow_nan=False))
        for panel in older["concat"]:
            panel["layer"].pop()  # what only hovering needs
        drawn = ElementTree.fromstring(vl_convert.vegalite_to_svg(older, vl_version="5.8", allowed_base_urls=[]))
        for tag in ("path", "line", "text"):
            assert [(e.get("d"), e.text) for e in root.iter(SVG + tag)] == [
                (e.get("d"), e.text) for e in drawn.iter(SVG + tag)
            ]
        assert metadata[VEGA_LITE]["embed_options"]["renderer"] == "svg"


def test_every_known_interval_is_drawn(case):
    kind, plots = case
    bars = 0
    for plot in plots:
        bundle, _ = plot._repr_mimebundle_()
        known = [row for data in bundle[VEGA_LITE]["datasets"].values() for row in data if "low" in row]
        drawn = rules(ElementTree.fromstring(bundle["image/svg+xml"]))
        on_a_map = any(panel.heat is not None for panel in plot.figure.panels)
        assert drawn == (0 if on_a_map else len(known))  # bars on maps are white on black
        bars += len(known)
    assert bars or kind in WITHOUT_INTERVALS


def test_groups_differ_by_more_than_colour_and_nothing_depends_on_the_page(case):
    _, plots = case
    for plot in plots:
        bundle, _ = plot._repr_mimebundle_()
        assert "currentColor" not in json.dumps(bundle[VEGA_LITE]) + bundle["image/svg+xml"]
        for panel in plot.figure.panels:
            if panel.heat is None:
                layers = bundle[VEGA_LITE]["concat"][plot.figure.panels.index(panel)]["layer"]
                scale = layers[0]["encoding"]["color"]["scale"]
                assert set(scale["range"]) <= {*COLOURS, PRINTED_INK}
                shapes = next(e["encoding"]["shape"]["scale"]["range"] for e in layers if "shape" in e["encoding"])
                marked = {series.group or series.name for series in panel.series if series.role != "rival"}
                looks = [shape for name, shape in zip(scale["domain"], shapes, strict=True) if name in marked]
                assert len(set(looks)) == len(looks)


@pytest.mark.parametrize("ending", ["svg", "pdf", "png", "csv"])
def test_a_plot_is_saved(tmp_path, ending):
    file = tmp_path / f"laws.{ending}"
    plot = effbatch.plot(effbatch.predict(alpha=6, batch_size=32))
    plot.save(file)
    if ending == "csv":
        rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
        said = effbatch.predict(alpha=6, batch_size=32).learning_rate
        assert {row["series"]: float(row["x"]) for row in rows} == pytest.approx(
            {name: law.factor for name, law in said.items() if law.applies}
        )
    else:
        assert file.read_bytes().startswith({"svg": b"<svg", "pdf": b"%PDF", "png": b"\x89PNG"}[ending])


def test_the_recommended_law_stands_on_top_in_a_look_of_its_own():
    answer = effbatch.predict(alpha=6, batch_size=32)
    (plot,) = effbatch.plot(answer)
    (panel,) = plot.figure.panels
    (recommended,) = [series for series in panel.series if series.group == "recommended"]
    assert recommended.name == answer.recommended.law
    assert max(series.y[0] for series in panel.series) == recommended.y[0]
    assert (recommended.low[0], recommended.high[0]) == answer.recommended.factor_interval


def test_one_of_several_is_taken_by_its_name_and_a_notebook_shows_all(monkeypatch):
    plots = effbatch.plot(fitted())
    assert plots["accuracy"].figure.name == "accuracy"
    with pytest.raises(InputError, match="plot 'acuracy' is not among these; did you mean 'accuracy'"):
        plots["acuracy"]
    with pytest.raises(InputError, match=r"a file holds one plot, and these are 2 \(best_rate, accuracy\)"):
        plots.save("fit.svg")
    shown: list[str] = []
    ipython = types.ModuleType("IPython.display")
    ipython.display = lambda plot: shown.append(plot.figure.name)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython.display", ipython)
    plots._ipython_display_()
    assert shown == plots.names


def test_an_axis_that_did_not_vary_has_one_curve_and_a_grid_of_one_setting_no_figure():
    cube = effbatch.fit(synthetic.peaked_cube(lambda a, b: 0.02 / (1 + a), alpha=ALPHA, batch_size=(32,), noise=0.001))
    rate, accuracy = effbatch.plot(cube)
    (panel,) = rate.figure.panels
    assert {series.group for series in panel.series} == {"B = 32"}
    assert len(accuracy.figure.panels) == 1
    with pytest.raises(InputError, match="its grid is too small for a figure"):
        effbatch.plot(effbatch.fit(synthetic.peaked_cube(lambda a, b: 0.02 + 0 * a + 0 * b)))


ONE = effbatch.predict(alpha=6, batch_size=32)
REFUSED = {
    "text": (lambda: effbatch.plot("laws"), InputError, r"a plot needs what predict .* returned.*; got str: "),
    "a class": (lambda: effbatch.plot(type(ONE)), InputError, "a plot needs what predict"),
    "no list": (lambda: effbatch.plot([]), InputError, "a plot needs what predict .*; got list"),
    "twice the same": (lambda: effbatch.plot([ONE, ONE]), InputError, "need to differ in alpha or batch size"),
    "two optimizers": (
        lambda: effbatch.plot([ONE, effbatch.predict(3, 32, optimizer="adam")]),
        InputError,
        "differ in alpha or batch size, and in nothing else",
    ),
    "no measurement": (
        lambda: effbatch.plot(effbatch.NoiseScaleTracker(network())),
        InputError,
        "none is done after 0 steps",
    ),
    "another ending": (
        lambda: effbatch.plot(ONE).save("rate.eps"),
        InputError,
        r"saved as \.svg, \.pdf, \.png, \.csv, got 'rate\.eps'",
    ),
    "a width of a PNG": (
        lambda: effbatch.plot(ONE).save("rate.png", width="one-column"),
        InputError,
        r"a width is for \.svg and \.pdf, got 'rate\.png': leave it out",
    ),
    "another width": (
        lambda: effbatch.plot(ONE).save("rate.pdf", width="two-column"),
        InputError,
        "one-column or two-columns, got 'two-column'; did you mean",
    ),
    "no folder": (lambda: effbatch.plot(ONE).save("no/folder/rate.csv"), RunError, "give a writable folder"),
}


@pytest.mark.parametrize("kind", list(REFUSED))
def test_what_cannot_be_plotted_or_saved_gets_one_sentence(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ask, error, words = REFUSED[kind]
    with pytest.raises(error, match=words) as raised:
        ask()
    assert "\n" not in str(raised.value)
