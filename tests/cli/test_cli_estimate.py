"""`effbatch estimate`: what it prints, its JSON, its refusals, its files, and the chain into `predict`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from effbatch.audit import estimate_noise
from effbatch.audit.confusion import estimate_from_counts
from effbatch.cli.estimate import command
from effbatch.cli.predict import command as predict_command
from effbatch.core.errors import InputError

SAMPLE = ["--checked", "200", "--wrong", "66", "--classes", "10"]
COUNTS = np.array([[60, 30, 0], [5, 80, 5], [0, 45, 40]])


def run(*arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def counts_file(tmp_path) -> str:
    np.savetxt(tmp_path / "counts.csv", COUNTS, delimiter=",", fmt="%d")
    return str(tmp_path / "counts.csv")


def test_json_is_the_estimate(counts_file):
    assert json.loads(run(*SAMPLE, "--json")) == estimate_noise(200, 66, 10).to_dict() | {"bounds": {}}
    options = ("--examples", "5000", "--confidence", "0.9", "--method", "wilson")
    expected = estimate_noise(200, 66, 10, examples=5000, confidence=0.9, method="wilson").to_dict()
    assert json.loads(run(*SAMPLE, *options, "--json")) == expected | {"bounds": {}}
    expected = estimate_from_counts(COUNTS).to_dict() | {"read_as": "3 classes by position, 265 checked", "bounds": {}}
    assert json.loads(run("--counts", counts_file, "--json")) == expected


def test_text_has_value_interval_n_and_method():
    text = run(*SAMPLE)
    assert text.startswith("α = 0.58 [0.42, 0.80]")
    assert "33 % [27, 40]" in text
    assert "n = 200 checked, 66 wrong; 95 % interval, Clopper-Pearson" in text
    assert "no upper limit" in run("--checked", "20", "--wrong", "17", "--classes", "10")


def test_text_of_counts_names_doubtful_classes(counts_file):
    text = run("--counts", counts_file)
    assert "does not fit the counts" in text
    verdicts = {line.split()[0]: line for line in text.splitlines() if line[:9].strip().isdigit()}
    assert verdicts["2"].endswith("?")
    assert not verdicts["1"].endswith(("?", "✗"))
    assert "?: cannot tell." in text


@pytest.mark.parametrize("K", [5, 12])
def test_counts_of_doubtful_classes_with_long_names_fit_a_screen(K, tmp_path):
    names = [f"a long name of class {c}" for c in range(K)]
    rows = [[26 if c == k else 11 for k in range(K)] for c in range(K)]
    rows[0] = [4 if k == 0 else 1 for k in range(K)]  # a rare class
    lines = [
        ",".join(["", *names]),
        *(f"{name},{','.join(map(str, row))}" for name, row in zip(names, rows, strict=True)),
    ]
    (tmp_path / "counts.csv").write_text("\n".join(lines) + "\n")
    text = run("--counts", str(tmp_path / "counts.csv"))
    assert len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 80
    assert ("the 5 least leads of 12 classes, --json has all" in text) == (K == 12)


def test_bounds_stand_alone_with_what_they_assume():
    text = run("--classes", "10", "--train-loss", "1.9", "--holdout-accuracy", "0.55")
    assert "α is at most 1, from --holdout-accuracy 0.55" in text
    assert ", from --train-loss 1.9" in text
    assert text.count("This assumes") == 2
    said = json.loads(run("--classes", "10", "--train-loss", "1.9", "--json"))
    assert set(said) == {"num_classes", "bounds"}
    assert said["bounds"]["train_loss"]["alpha_at_most"] > 0


def piped(said: str, *options: str):
    return CliRunner().invoke(
        predict_command,
        ["--from-estimate", "-", "--batch", "128", *options, "--json"],
        input=said,
        catch_exceptions=False,
    )


def test_predict_takes_alpha_its_interval_and_classes_from_an_estimate():
    said = run(*SAMPLE, "--json")
    result = piped(said)
    estimated, predicted = json.loads(said), json.loads(result.stdout)
    assert predicted["alpha"] == estimated["alpha"]["value"]
    assert predicted["alpha_interval"] == estimated["alpha"]["interval"]
    assert predicted["num_classes"] == estimated["num_classes"] == 10
    assert not result.stderr


def test_predict_takes_the_matrix_where_noise_is_not_uniform(counts_file, tmp_path):
    said = run("--counts", counts_file, "--json")
    result = piped(said)
    estimated, predicted = json.loads(said), json.loads(result.stdout)
    assert estimated["answer"] == "transition_matrix"
    assert "this takes their transition matrix without its interval: by the signal of the labels " in result.stderr
    np.savetxt(tmp_path / "T.csv", estimated["transition_matrix"]["value"], delimiter=",", fmt="%.17g")
    by_file = ["--transition", str(tmp_path / "T.csv"), "--batch", "128", "--json"]
    assert predicted == json.loads(CliRunner().invoke(predict_command, by_file, catch_exceptions=False).stdout)
    assert predicted["num_classes"] == 3
    structured = json.loads(piped(said, "--noise", "structured", "--delta", "0.5").stdout)
    assert structured["alpha"] == estimated["alpha"]["value"]  # whoever names the noise gets alpha


def test_predict_takes_alpha_where_the_matrix_has_no_row_of_a_class(tmp_path):
    (tmp_path / "c.csv").write_text("30,60,0\n0,0,0\n2,2,90\n")
    said = run("--counts", str(tmp_path / "c.csv"), "--json")
    result = piped(said)
    assert "some classes were not checked" in result.stderr
    assert json.loads(result.stdout)["alpha"] == json.loads(said)["alpha"]["value"]


@pytest.mark.parametrize("said", ["{}", "not json", "[1, 2]", '{"num_classes": 10, "read_as": "of measure"}'])
def test_predict_refuses_what_is_no_estimate(said):
    with pytest.raises(InputError, match="needs the JSON of an estimate"):
        CliRunner().invoke(
            predict_command, ["--from-estimate", "-", "--batch", "8"], input=said, catch_exceptions=False
        )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to estimate from"),
        (["--classes", "10"], "nothing to estimate from"),
        (["--train-loss", "1"], "number of classes is needed, got none: give --classes"),
        (["--checked", "5", "--wrong", "1"], "number of classes is needed, got none: give --classes"),
        (["--classes", "10", "--checked", "5"], "got only one of them: give both"),
        (["--classes", "10", "--checked", "5,6", "--wrong", "1"], "--checked needs one number beside --wrong, got 2"),
        (["--classes", "10", "--examples", "50"], "--examples needs a sample of them, got none"),
        (["--counts", "missing.csv", "--wrong", "3"], "got --counts and --wrong: leave one of them out"),
        (["--noise-rate", "0.3", "--checked", "3"], "got --checked and --noise-rate"),
        (["--noise-rate", "0.9", "--classes", "10"], r"below \(K − 1\)/K = 0.9, .* got 0.9"),
        (["--sizes", "1,2"], "got no counts: give --counts"),
        (["--checks", "missing.csv"], "missing.csv cannot be read: No such file"),
        (["--checks", "missing.csv", "--method", "wilson"], "--checks stand alone"),
        (["--classes", "10", "--relabel", "0.2", "--train-loss", "1"], "--relabel needs a noise rate to start from"),
        ([*SAMPLE, "--relabel", "20"], r"needs to lie in \[0, 1\], got 20.0: give 0.2 for a fifth"),
        (["--counts", "missing.csv"], "missing.csv cannot be read: No such file"),
        (["--classes", "10", "--checked", "5", "--wrong", "6"], "wrong labels .*, got 6"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(arguments, words):
    with pytest.raises(InputError, match=words) as error:
        CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert "\n" not in str(error.value)


def test_a_table_of_examples_is_told_what_counts_look_like_and_a_missing_file_which_one_is_there(tmp_path):
    (tmp_path / "birds.csv").write_text("a,b,species\n1,2,jay\n2,3,owl\n3,3,jay\n")
    looks = "give one row per checked class and one column per given label, .* ,cat,dog and cat,40,5 and dog,4,31"
    with pytest.raises(InputError, match=f"needs a table of numbers, .*birds.csv: .*; {looks}"):
        CliRunner().invoke(command, ["--counts", str(tmp_path / "birds.csv")], catch_exceptions=False)
    with pytest.raises(InputError, match=r"bird.csv cannot be read: .*; did you mean '.*birds.csv'\?"):
        CliRunner().invoke(command, ["--counts", str(tmp_path / "bird.csv")], catch_exceptions=False)


def test_classes_must_be_those_of_the_counts(counts_file):
    run("--counts", counts_file, "--classes", "3")
    with pytest.raises(InputError, match="got 4 and counts of 3: leave it out"):
        CliRunner().invoke(command, ["--counts", counts_file, "--classes", "4"], catch_exceptions=False)


def test_counts_come_from_npy_too_but_never_from_a_pickle(tmp_path):
    np.save(tmp_path / "counts.npy", COUNTS)
    assert json.loads(run("--counts", str(tmp_path / "counts.npy"), "--json"))["wrong"] == 85
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(InputError, match="without pickles; it does not"):
        CliRunner().invoke(command, ["--counts", str(tmp_path / "objects.npy")], catch_exceptions=False)


@pytest.mark.parametrize("content", [b"", b"1,2\n3\n", b"a,b\nc,d\n", b"\xff\xfe\x00", b"\x93NUMPY"])
@pytest.mark.parametrize("suffix", ["csv", "npy"])
def test_files_that_hold_no_matrix_are_refused(tmp_path, content, suffix):
    path = tmp_path / f"bad.{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="needs a table of numbers" if suffix == "csv" else "must hold numbers only"):
        CliRunner().invoke(command, ["--counts", str(path)], catch_exceptions=False)


def test_a_table_of_words_is_answered_in_its_words(tmp_path):
    (tmp_path / "c.csv").write_text("checked,belt,empty,no belt\nbelt,70,0,4\nempty,2,90,0\nno belt,5,1,80\n")
    text = run("--counts", str(tmp_path / "c.csv"))
    assert text.startswith("Wrong labels: 4.8 % [2.5, 8.2], and not uniformly")
    assert "Read as 3 classes (belt, empty, no belt) from names, 252 checked." in text
    assert "no belt       86  93 %    belt 5.81 %" in text
    said = json.loads(run("--counts", str(tmp_path / "c.csv"), "--json"))
    assert said["class_names"] == ["belt", "empty", "no belt"]
    assert said["answer"] == "transition_matrix"
    assert said["alpha"]["value"] == pytest.approx(0.0769, abs=5e-5)


def test_a_noisy_label_can_be_right_is_said_where_alpha_first_is(counts_file):
    for arguments in (SAMPLE, ["--counts", counts_file], ["--noise-rate", "0.4", "--classes", "10"]):
        text = " ".join(run(*arguments).split())
        assert text.count("(a noisy label can be right by chance)") == 1
        assert text.index("α = ") < text.index("by chance") < text.index("α = ") + 120


def test_a_stated_rate_is_read_in_both_ways():
    said = json.loads(run("--noise-rate", "0.4", "--classes", "10", "--json"))
    assert said["alpha"]["value"] == pytest.approx(0.8)
    assert said["alpha_if_redrawn"] == pytest.approx(2 / 3)
    assert json.loads(piped(json.dumps(said)).stdout)["alpha"] == said["alpha"]["value"]
    text = run("--noise-rate", "0.4", "--classes", "10", "--relabel", "0.2")
    assert "α = 0.667" in text
    assert "wrong\nlabels 32.0 %, α = 0.552" in text


def test_what_relabelling_leaves_is_told_and_kept():
    said = json.loads(run(*SAMPLE, "--relabel", "0.2", "--json"))
    after, rate = said["after_relabelling"], said["noise_rate"]
    assert after["share"] == 0.2
    assert after["noise_rate"]["value"] == pytest.approx(0.8 * 0.33)
    assert after["noise_rate"]["interval"] == pytest.approx([0.8 * x for x in rate["interval"]])
    left = json.loads(run("--noise-rate", str(0.8 * 0.33), "--classes", "10", "--json"))
    assert after["alpha"]["value"] == pytest.approx(left["alpha"]["value"])
    assert "Checking the most suspicious labels first does better" in " ".join(run(*SAMPLE, "--relabel", "0.2").split())


def test_as_many_of_each_label_must_be_explained(tmp_path):
    (tmp_path / "c.csv").write_text("25,5\n5,25\n")
    counts = ["--counts", str(tmp_path / "c.csv")]
    with pytest.raises(InputError, match=r"30 were checked of every given label: .*\(--sizes N,N\), or say --random"):
        CliRunner().invoke(command, counts, catch_exceptions=False)
    assert json.loads(run(*counts, "--random-sample", "--json"))["noise_rate"]["value"] == pytest.approx(1 / 6)
    (tmp_path / "s.csv").write_text("class,count\n1,900\n0,100\n")
    for sizes in ("100,900", str(tmp_path / "s.csv")):
        said = json.loads(run(*counts, "--sizes", sizes, "--json"))
        assert said["sizes"] == [100, 900]
        assert said["examples"] == 1000
    with pytest.raises(InputError, match="--random-sample and --sizes"):
        CliRunner().invoke(command, [*counts, "--random-sample", "--sizes", "1,2"], catch_exceptions=False)


def test_checks_of_the_same_image_are_one_image(tmp_path):
    rows = [f"img{i // 3},cat,{'dog' if i % 7 == 0 else 'cat'}" for i in range(90)]
    (tmp_path / "checks.csv").write_text("\n".join(["image,given,checked", *rows, "x,dog,dog"]))
    said = json.loads(run("--checks", str(tmp_path / "checks.csv"), "--json"))
    assert said["class_names"] == ["cat", "dog"]
    assert (said["checked"], said["images"], said["noise_rate"]["n"]) == (91, 31, 31)
    assert said["read_as"] == "2 classes (cat, dog) from names, 91 checks of 31 images"
    assert "by image: 31 images" in run("--checks", str(tmp_path / "checks.csv"))


@pytest.mark.parametrize("classes", ["2", "5000", "1000000000000"])
def test_any_number_of_classes_answers_at_once(classes):
    said = json.loads(run("--checked", "500", "--wrong", "100", "--classes", classes, "--json"))
    assert said["alpha"]["value"] == pytest.approx(0.2 / (1 - 1 / float(classes) - 0.2))


def test_one_label_checked_says_how_little_that_is():
    assert "It is at least 0.0286." in run("--checked", "1", "--wrong", "1", "--classes", "10")
    assert "no upper limit" in run("--checked", "1", "--wrong", "0", "--classes", "10")


def test_one_class_checked_leaves_the_others_open(tmp_path):
    (tmp_path / "c.csv").write_text("5,2\n0,0\n")
    text = " ".join(run("--counts", str(tmp_path / "c.csv")).split())
    assert "cannot tell: nothing was checked of class 1" in text
    (tmp_path / "c.csv").write_text("2,40\n45,3\n")
    text = " ".join(run("--counts", str(tmp_path / "c.csv")).split())
    assert "the noise rate is above 0.5 = (K − 1)/K throughout: uniform noise cannot do that" in text
