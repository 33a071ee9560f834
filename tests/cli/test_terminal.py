"""The terminal: nothing is cut at any width, no colour where none is wanted, JSON, examples, completion, spelling."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr
from click.testing import CliRunner
from synthetic import peaked_cube, rising_cube

from effbatch.advice.question import COMPUTED
from effbatch.claims import Judgement, Verdict, claim_of
from effbatch.cli import COMMANDS, doctor, main
from effbatch.cli.validate import show
from effbatch.core.estimate import Estimate
from effbatch.core.figures import Number
from effbatch.core.formats import estimate_text
from effbatch.laws import LAWS
from effbatch.plan import cube as cubes

RESULTS = Path(__file__).parents[2] / "simulations" / "results" / "digits"


def run(*arguments: object, code: int = 0, width: int = 80, **environment: str) -> str:
    result = CliRunner(env={"COLUMNS": str(width), **environment}).invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A cube whose best rates are 0.05 √(B/(1+α)), with the last one beyond the grid."""
    file = tmp_path_factory.mktemp("sweep") / "cube.nc"
    cube = peaked_cube(lambda a, b: 0.05 * (b / (1 + a)) ** 0.5, alpha=(0, 1, 3), batch_size=(8, 32, 1024))
    cubes.save({"made_up": cube}, file)
    return file


@pytest.fixture(scope="module")
def fitted(sweep):
    return json.loads(run("fit", sweep, "--json"))


@pytest.mark.parametrize("width", [40, 50, 80, 200])
def test_fit_cuts_no_number_at_any_width(sweep, fitted, width):
    text = run("fit", sweep, "--all", width=width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "…" not in text
    words = " ".join(text.split())
    for row in fitted["best_learning_rates"]:
        if row["best_learning_rate"] is None:
            assert f"cannot tell ({row['outcome'].replace('_', ' ')})" in words
        else:
            assert estimate_text(Estimate(row["best_learning_rate"], row["low"], row["high"])) in words
    for row in fitted["exponents"]:
        assert estimate_text(Estimate(row["exponent"], row["low"], row["high"]), difference=True) in words
    for row in fitted["laws"]:
        assert row["law"] in words
        assert estimate_text(Estimate(row["median_error"], row["low"], row["high"])) in words
    assert "at upper edge: the setting is best at the highest learning rate of the grid" in words


def test_fit_collapses_every_network_by_itself(tmp_path):
    """Two made-up networks, δ = 1 for the one and 2 for the other."""
    axes = {"alpha": (0, 1, 3), "batch_size": (8, 32, 128), "learning_rate": (0.1,), "seeds": 4, "noise": 0.02}
    made = [
        rising_cube(lambda a, b, r, d=delta: 50 * (1 + 40 * (1 + a) ** d / b) + 0 * r, **axes).expand_dims(
            network=[name]
        )
        for name, delta in (("narrow", 1), ("wide", 2))
    ]
    cubes.save(
        {"made_up": xr.concat(made, "network", data_vars="all", coords="minimal", compat="override")},
        tmp_path / "cube.nc",
    )
    said = json.loads(run("fit", tmp_path / "cube.nc", "--target", 0.7, "--json"))["collapse"]
    found = dict(
        re.match(r"network (\w+): δ = ([\d.]+) ", sentence).groups() for sentence in said if "network" in sentence
    )
    assert {name: float(delta) for name, delta in found.items()} == pytest.approx({"narrow": 1, "wide": 2}, abs=0.1)
    text = run("fit", tmp_path / "cube.nc", "--target", 0.7, "--all", width=50)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 50
    assert all(" ".join(sentence.split()) in " ".join(text.split()) for sentence in said)


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "--alpha", 50, "--batch", 128],
        ["predict", "--checked", 200, "--wrong", 66, "--batch", 128, "--anchor-lr", 0.1, "--anchor-batch", 64],
        ["predict", "--alpha", 20, "--batch", 128, "--noise", "structured", "--delta", 0.8, "--optimizer", "adam"],
        ["estimate", "--checked", 200, "--wrong", 66, "--classes", 10],
        ["estimate", "--checked", 20, "--wrong", 20, "--classes", 10],
        ["measure", "perceptron", "digits"],
        ["fit", RESULTS, "--name", "learning_rate"],
        ["fit", RESULTS, "--target", 0.85, "--name", "effective_batch"],
        ["laws"],
        ["datasets"],
        ["doctor"],
        ["advise", "mlp1", "digits", "--steps", 50, "--alpha", 3, "--no-training", "--batch", 32, "--batch", 64],
    ],
    ids=lambda arguments: " ".join(map(str, arguments[:3])),
)
def test_an_answer_fits_a_screen_and_begins_with_what_was_asked(arguments):
    lines = run(*arguments).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert re.search(r"\d|\?|Nothing|Missing", lines[0])


def test_a_pipe_gets_no_escape_codes_and_no_color_gets_no_colour(sweep):
    assert "\x1b" not in run("fit", sweep)
    colour = re.compile(r"\x1b\[[\d;]*[34][0-9]m")
    assert "\x1b" in run("fit", sweep, FORCE_COLOR="1")
    assert not colour.search(run("fit", sweep, FORCE_COLOR="1", NO_COLOR="1"))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example_within_the_width(name):
    text = run(name, "--help")
    assert re.search(rf"^ +effbatch {name}\b", text, flags=re.MULTILINE)
    assert max(len(line) for line in text.splitlines()) <= 80


@pytest.mark.parametrize("width", [50, 80])
def test_the_first_help_keeps_within_the_width(width):
    text = CliRunner().invoke(main, ["--help"], terminal_width=width).output
    assert max(len(line) for line in text.splitlines()) <= width


@pytest.mark.parametrize("width", [40, 80])
def test_advice_keeps_within_the_width(width):
    text = run("advise", "mlp1", "digits", "--steps", "50", "--alpha", "3", "--no-training", "--all", width=width)
    page = text.split("In PyTorch")[0]  # code is never broken
    assert max(len(line) for line in page.splitlines()) <= width


def test_numbers_stay_with_what_they_count_and_a_star_stands_first():
    sizes = ("--batch", "64", "--batch", "128", "--no-training")
    text = run("advise", "mlp1", "digits", "--steps", "50", "--checked", "200", "--wrong", "66", *sizes, width=50)
    assert not [line for line in text.splitlines() if line.endswith((" n", "n =", "α", "α ="))]
    assert "  * B 128, steps 50, learning rate" in text


@pytest.fixture
def shown(capsys, monkeypatch):
    """What the terminal shows of judgements, as lines."""

    def lines(judgements, width=80, rule="error at most 5 points"):
        monkeypatch.setenv("COLUMNS", str(width))
        show(judgements, dict.fromkeys(judgements, rule), Path("out/report.html"))
        return capsys.readouterr().out.splitlines()

    return lines


def error(verdict: Verdict, finding: str, *limits: float | None) -> Judgement:
    return Judgement(
        verdict=verdict,
        finding=finding,
        numbers=[Number("error", Estimate(*(limits or (2.4, 1.5, 3.6)), n=9), "points")],
    )


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("claims", [1, 2])
def test_verdicts_keep_within_the_width(width, claims, shown):
    finding = "the best rate misses by 0.54 powers of two, n = 54 cells, as was said"
    lines = shown({f"learning_rate_{i}": error(Verdict.SUPPORTED, finding) for i in range(claims)}, width)
    assert lines[0].startswith("2 supported (of 2 claims)" if claims > 1 else "SUPPORTED: 2.4 points [1.5, 3.6], n")
    assert "learning_rate_0: " in "\n".join(lines)
    assert max(map(len, lines)) <= width
    assert " ".join(" ".join(lines).split()).endswith("as was said.")


@pytest.mark.parametrize("claims", [2, 16, 40])
def test_verdicts_of_any_number_of_claims_fit_a_screen(claims, shown):
    finding = "Predicted and measured accuracy differ by 2.4 points (root mean square, 24 points), as said. So."
    verdicts = [Verdict.SUPPORTED] * (claims - 1) + [Verdict.REFUTED]
    lines = shown({f"claim_{i}": error(v, finding) for i, v in enumerate(verdicts)})
    assert len(lines) <= 24 - 7  # scorecard and four files follow
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith(f"{claims - 1} supported, 1 refuted")
    if claims > 2:
        assert lines[1] == f"REFUTED    claim_{claims - 1}: 2.4 points [1.5, 3.6], n = 9"
    else:
        assert lines[1].startswith("SUPPORTED  claim_0: 2.4 points [1.5, 3.6], n = 9 (error). Predicted and")
    assert ("25 more claims: see the report." in lines) == (claims == 40)


@pytest.mark.parametrize(
    ("verdict", "limits", "do"),
    [
        (Verdict.SUPPORTED, (2.4, 1.5, 3.6), "the report says why: out/report.html"),
        (Verdict.REFUTED, (7.4, 6.5, 8.6), "the report says why: out/report.html"),
        (Verdict.UNDECIDED, (4.4, 3.5, 5.6), "more seeds may decide it (raise `seed` in [grid], run again)"),
        (Verdict.UNDECIDED, (None, None, None), "the report says why: out/report.html"),
    ],
)
def test_one_claim_begins_with_verdict_number_rule_and_what_to_do(verdict, limits, do, shown):
    judged = error(verdict, "It is so. And why", *limits)
    lines = shown({"mine": judged}, 200)
    number = estimate_text(judged.numbers[0].estimate, "points")
    text = f"{verdict.upper()}: {number} (error); rule: error at most 5 points; {do} mine: It is so. And why."
    assert " ".join(lines) == text


def test_a_number_stands_once_and_where_its_line_has_room(shown):
    said = "Accuracy falls by 2.4 points [1.5, 3.6], n = 9"
    assert shown(dict.fromkeys("ab", error(Verdict.REFUTED, said)))[1] == f"REFUTED    a: {said}."
    for letters, text in ((45, "2.4 points [1.5, 3.6]"), (58, "It falls.")):
        name = "a" * letters
        first = shown({name: error(Verdict.REFUTED, "It falls"), "b": error(Verdict.REFUTED, "It falls")})[1]
        assert first == f"REFUTED    {name}: {text}"
    many = {f"{i:a>50}": error(Verdict.REFUTED, "It falls. " * 9) for i in range(17)}
    assert shown(many)[1] == f"REFUTED    {'0':a>50}: see the report."


def recorded(folder: Path) -> dict[str, tuple[Judgement, str]]:
    """The verdicts on record, each with its rule in words."""
    found = {}
    for one in json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))["verdicts"]:
        numbers = [
            Number(n["label"], Estimate(n["value"], n["low"], n["high"], n=n["n"]), n["unit"]) for n in one["numbers"]
        ]
        judged = Judgement(verdict=Verdict(one["verdict"]), finding=one["finding"], numbers=numbers)
        found[one["simulation"]] = judged, claim_of(one["rule"], one["simulation"]).headline
    return found


@pytest.mark.parametrize("folder", sorted(RESULTS.parent.iterdir()), ids=lambda folder: folder.name)
def test_every_verdict_on_record_fits_a_screen_alone_and_with_the_others(folder, shown):
    verdicts = recorded(folder)
    for name, (judged, rule) in verdicts.items():
        lines = shown({name: judged}, rule=rule)
        assert len(lines) <= 24 - 7
        assert max(map(len, lines)) <= 80
        one = judged.numbers[0]
        assert lines[0].startswith(f"{judged.verdict.upper()}: {estimate_text(one.estimate, one.unit)} (")
        assert f"({one.label}); rule: {rule}; " in " ".join(lines)
    lines = shown({name: judged for name, (judged, _) in verdicts.items()})
    assert len(lines) <= 24 - 7
    assert max(map(len, lines)) <= 80
    assert f"(of {len(verdicts)} claims)" in lines[0]


def test_laws_as_json():
    laws = {law["name"]: law for law in json.loads(run("laws", "--json"))}
    assert set(laws) == {*(law.name for law in LAWS.values()), *COMPUTED}
    keys = ("formula", "regime", "outside", "reference", "asked_by")
    assert all(law[key] for law in laws.values() for key in keys)
    assert "for adam, adamw, rmsprop and adadelta; at a fixed number of steps" in laws["signal_to_noise"]["outside"]
    assert laws["surge"]["outside"].startswith("for sgd, momentum and adadelta; before clean_noise_scale is known")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_laws_say_when_they_hold_within_the_width(width):
    text = run("laws", "--all", width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    words = " ".join(text.split())
    for law in json.loads(run("laws", "--json")):
        assert f"{law['formula']} holds {law['regime']} not {law['outside']} source {law['reference']}" in words


@pytest.mark.parametrize("width", [40, 50, 80])
@pytest.mark.parametrize(
    "arguments",
    [
        ["--checked", "10", "--wrong", "9", "--classes", "10", "--examples", "3000"],
        ["--classes", "10", "--train-loss", "1.9", "--holdout-accuracy", "0.55"],
        ["--counts", "counts.csv"],
    ],
    ids=["sample", "bounds", "counts"],
)
def test_estimates_keep_within_the_width(arguments, width, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("counts.csv").write_text("60,30,0\n5,80,5\n0,45,40\n", encoding="utf-8")
    text = run("estimate", *arguments, width=width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert all(word in text.split() for word in run("estimate", *arguments, width=300).split("Each class")[0].split())


@pytest.mark.parametrize("width", [40, 80])
def test_data_sets_and_checks_keep_within_the_width(width, monkeypatch):
    long = "is not there: put the files of this data set into its folder, or let them be fetched from the hub"
    monkeypatch.setattr(doctor, "CHECKS", {"data sets": lambda: long})
    for command in ("datasets", "doctor"):
        more = ["--all"] * (command == "datasets")
        lines = [line for line in run(command, *more, width=width).splitlines() if "/" not in line]  # no path is broken
        assert max(map(len, lines)) <= width
    assert long in " ".join(run("doctor", width=width).split())


def test_a_terminal_of_no_width_gets_a_word_a_line():
    assert run("estimate", "--classes", "10", "--train-loss", "1.9", width=0).split()[0] == "α"


def test_datasets_as_json_say_what_is_here_or_how_to_get_it(tmp_path):
    sets = {data["name"]: data for data in json.loads(run("datasets", "--json", "--data-dir", tmp_path))}
    assert sets["digits"]["state"] == "here"
    assert sets["digits"]["size"].startswith("1,297 train, 500 test")
    assert all(data["source"] if data["state"] == "here" else data["how"] for data in sets.values())


def test_doctor_says_what_is_missing_and_exits_with_1(monkeypatch):
    def broken() -> str:
        raise RuntimeError("not there; install it with `this`")

    monkeypatch.setattr(doctor, "CHECKS", {"fine": lambda: "1.0", "PDF": broken, "Hugging Face hub": broken})
    assert "missing  PDF: not there; install it with `this`" in run("doctor", code=1)
    states = {check["name"]: check["state"] for check in json.loads(run("doctor", "--json", code=1))}
    assert states == {"fine": "ok", "PDF": "missing", "Hugging Face hub": "optional"}
    monkeypatch.setattr(doctor, "CHECKS", {"Hugging Face hub": broken})
    assert "optional Hugging Face hub" in run("doctor")


def complete(shell: str, words: str, place: str) -> str:
    """What the completion script would get for `words`."""
    environment = {"_EFFBATCH_COMPLETE": f"{shell}_complete", "COMP_WORDS": words, "COMP_CWORD": place}
    code = "from effbatch.cli import main; main(prog_name='effbatch')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_valid_and_ask_effbatch(shell):
    script = run("completion", shell)
    assert f"_EFFBATCH_COMPLETE={shell}_complete" in script
    assert "effbatch" in script
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=script, text=True, check=True)


def test_commands_choices_and_names_are_completed():
    assert complete("bash", "effbatch pre", "1").split() == ["plain,predict"]
    assert complete("bash", "effbatch predict --schedule c", "3").split() == ["plain,constant", "plain,cosine"]
    assert "plain,learning_rate" in complete("bash", "effbatch simulate learn", "2").split()
    assert complete("bash", "effbatch measure mlp1 fashion", "3").split() == [
        "plain,fashion-mnist",
        "plain,fashion-mnist-14",
    ]
    assert complete("bash", "effbatch advise resnet1", "2").split() == ["plain,resnet18"]
    assert complete("bash", "effbatch advise mlp1 my.np", "3").split() == ["file,my.np"]
    assert "predict" in complete("zsh", "effbatch pre", "1").split()
    assert "plain,predict" in complete("fish", "effbatch pre", "pre")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["predct"], "did you mean 'predict'"),
        (["predict", "--alpah", "1"], "--alpha"),
        (
            ["advise", "mpl1", "digits", "--steps", "9"],
            "mlp1",
        ),
        (["measure", "mlp1", "digts"], "did you mean 'digits'"),
        (["validate", "learning_rat"], "did you mean 'learning_rate'"),
        (["completion", "bahs"], "did you mean 'bash'"),
        (["predict", "--alpha", "1", "--batch", "8", "--optimizer", "adm"], "did you mean 'adam'"),
        (["predict", "--alpha", "1", "--batch", "8", "--schedule", "cosin"], "did you mean 'cosine'"),
        (["predict", "--alpha", "1", "--batch", "8", "--noise", "structurd"], "did you mean 'structured'"),
        (["advise", "mlp1", "digits", "--steps", "9", "--optimizer", "momentun"], "did you mean 'momentum'"),
        (["estimate", "--classes", "9", "--method", "wilsn"], "did you mean 'wilson'"),
        (["measure", "mlp1", "digits", "--device", "cdua"], "did you mean 'cuda'"),
        (["fit", RESULTS, "--name", "learnin_rate"], "did you mean 'learning_rate'"),
        (["report", RESULTS, "--figure", "colapse", "--out", "it.svg"], "did you mean 'collapse'"),
    ],
    ids=lambda part: part[0] if isinstance(part, list) else "",
)
def test_a_misspelt_name_gets_the_nearest_known_one(arguments, hint):
    assert hint in run(*arguments, code=2)


@pytest.mark.parametrize(
    ("right", "wrong", "known"),
    [
        ('kind = "collapse"', 'kind = "colapse"', "collapse"),
        ("[data]", '[data]\nnoise = "unifrom"', "uniform"),
        ("[train]", '[train]\noptimizer = "rmspop"', "rmsprop"),
        ("[train]", '[train]\nschedule = "one_cylce"', "one_cycle"),
    ],
    ids=["claim kind", "noise", "optimizer", "schedule"],
)
def test_a_misspelt_name_in_a_spec_gets_the_nearest_known_one(right, wrong, known, spec_text, tmp_path):
    (tmp_path / "spec.toml").write_text(spec_text.replace(right, wrong), encoding="utf-8")
    said = run("validate", tmp_path / "spec.toml", "--out", tmp_path / "out", code=2)
    assert f"did you mean {known!r}?" in said


def test_a_shell_that_is_missing_gets_all_that_are_known_in_one_line():
    assert "Choose from: bash, zsh, fish." in run("completion", code=2)
