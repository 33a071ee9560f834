"""Untrusted files run no code, put no markup on a page, and do not unpack from a few bytes to gigabytes."""

from __future__ import annotations

import ast
import gzip
import json
import pickle
import re
import tomllib
import tracemalloc
import zipfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import markdown
import numpy as np
import pypdf
import pytest
import torch
from bad_input import refused, run

import effbatch
from effbatch.claims import Verdict
from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate
from effbatch.core.figures import Axis, Figure, Number, Panel, Series, Table
from effbatch.core.pages import Code, Heading, Terms
from effbatch.data import datasets
from effbatch.data.sources import folder, idx, npz
from effbatch.show.markdown import code_span, markdown_text
from effbatch.show.rendering import render_html, write_markdown, write_pdf
from effbatch.show.report import Chapter, Report

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style><svg onload=alert(1)>",
    "[x](javascript:alert(1))",
    "![x](http://127.0.0.1/x.png)",
    "| a | b | **bold** _it_ `code` $x^2$ ~~no~~",
    "# heading",
    "1. list",
    "&lt;b&gt; \\textbf{x} {{ 7 * 7 }} {% raw %}",
    "line\n\n# heading",
]

ARRAYS = ("x_train", "y_train", "x_test", "y_test")


class Marker:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable, tuple]:
        return (Path.touch, (self.path,))


def hostile_report(text: str) -> Report:
    x = [1.0, 2.0, 4.0]
    series = [Series(text, "measured", x, x, low=x, high=x, group=text), Series(f"{text} too", "rival", x, x)]
    figure = Figure(text, text, [Panel(Axis(text), Axis(text), series, title=text)])
    number, table = Number(text, Estimate(1.0), note=text), Table(text, text, [text, "n"], [[text, 1.0]])
    parts = [text, Terms({text: text}), figure, table, Heading(text), f"- {text}", Code(text)]
    claim = Chapter(
        name=text, title=text, parts=parts, verdict=Verdict.UNDECIDED, headline=text, result=number, references=[text]
    )
    appendix = Chapter(name="appendix", title=text, parts=[Terms({text: text}), Code(text)], kind="appendix")
    return Report(title=text, asked=text, created="2026-11-22T16:48:00+00:00", chapters=[claim, appendix])


class Page(HTMLParser):
    """Tags and the text of a page, those of embedded SVG among them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    @property
    def kinds(self) -> list[str]:
        return sorted(tag for tag, _ in self.tags)


@pytest.fixture(scope="module")
def harmless() -> Page:
    return Page(render_html(hostile_report("harmless")))


@pytest.mark.parametrize("text", HOSTILE)
def test_html_shows_any_text_as_text(text, harmless):
    """The page has the elements of the page of a harmless text, charts' JSON and SVG included, and no more."""
    page = Page(render_html(hostile_report(text)))
    scripts = [tag for tag in page.kinds if tag == "script"]
    assert scripts == [tag for tag in harmless.kinds if tag == "script"]
    assert not {"img", "iframe"} & set(page.kinds)
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert " ".join(text.split()) in " ".join(page.text.split())


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_any_text_as_text(text, tmp_path):
    write_markdown(hostile_report(text), tmp_path / "report.md")
    made = markdown.markdown((tmp_path / "report.md").read_text(encoding="utf-8"), extensions=["tables"])
    page = Page(made)
    write_markdown(hostile_report("harmless"), tmp_path / "report.md")
    plain = markdown.markdown((tmp_path / "report.md").read_text(encoding="utf-8"), extensions=["tables"])
    assert page.kinds == Page(plain).kinds
    assert {attributes["href"][:1] for tag, attributes in page.tags if tag == "a"} == {"#"}
    one_line = " ".join(text.split())
    assert one_line in " ".join(page.text.replace("\u200b", "").replace("\\$", "$").replace("\\~", "~").split())


def test_markdown_leaves_plain_words_as_they_are():
    plain = "p < 0.05, δ = 1.9 [1.8, 2.0]; square_root_clean_count, α & β, B/(1+α)^2 (95 %)"
    assert markdown_text(plain) == plain
    assert code_span("a `b` ``c``") == "``` a `b` ``c`` ```"


def test_pdf_shows_any_text_as_text(tmp_path):
    write_pdf(hostile_report(HOSTILE[1]), tmp_path / "report.pdf")
    reader = pypdf.PdfReader(tmp_path / "report.pdf")
    assert HOSTILE[1] in "".join("".join(page.extract_text().split("\n")) for page in reader.pages)
    assert reader.metadata is not None
    assert reader.metadata.title == HOSTILE[1]
    assert "/JavaScript" not in str(reader.trailer["/Root"])


def test_the_page_of_an_advice_shows_any_text_as_text(little_images):
    from dataclasses import replace

    advice = effbatch.advise("perceptron", replace(little_images, name=HOSTILE[0]), steps=20, training=False)
    assert "script" not in Page(advice._repr_html_()).kinds


def test_a_member_of_an_archive_that_is_no_npy_file_is_no_array(tmp_path):
    with zipfile.ZipFile(tmp_path / "bare.npz", "w") as archive:
        for name in ARRAYS:
            archive.writestr(name, b"")
    with pytest.raises(InputError, match=r"needs the arrays x_train, .*; it has none"):
        npz.load(str(tmp_path / "bare.npz"))


def test_no_file_is_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    marker = tmp_path / "ran"
    objects = np.array([Marker(marker)], dtype=object)
    np.save("evil.npy", objects, allow_pickle=True)
    np.savez("evil.npz", x_train=objects, y_train=objects, x_test=objects, y_test=objects)
    Path("evil.pt").write_bytes(pickle.dumps(Marker(marker)))
    torch.save({"1.weight": Marker(marker)}, "evil2.pt")
    refused("estimate", "--counts", "evil.npy")
    refused("predict", "--alpha", "1", "--batch", "8", "--matrix", "evil.npy")
    refused("measure", "perceptron", "evil.npz")
    for checkpoint in ("evil.pt", "evil2.pt"):
        refused("measure", "perceptron", "digits", "--checkpoint", checkpoint)
    assert not marker.exists()
    np.load("evil.npy", allow_pickle=True)  # so the files are as evil as they are meant
    assert marker.exists()


def npy(shape: str, *, dtype: str = "<f4", content: bytes = b"") -> bytes:
    """An .npy file that declares any shape."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


DECLARED = {
    "terabytes": npy("(1000000, 1, 1000, 1000)"),
    "a long string": npy("(40,)", dtype="<U1000000000"),
    "below 0": npy("(-1, 2)"),
    "brackets": npy("(" * 500),
    "code": npy("__import__('os').getcwd()"),
    "less than declared": npy("(40, 1, 6, 6)", content=b"\0" * 100),
    "no header": b"\x93NUMPY",
    "objects": npy("(2,)", dtype="|O"),
}


@pytest.mark.parametrize("content", DECLARED.values(), ids=list(DECLARED))
def test_what_an_array_declares_is_looked_at_before_it_is_read(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("bomb.npz", "w") as file:
        for name in ARRAYS:
            file.writestr(f"{name}.npy", content)
    Path("bomb.npy").write_bytes(content)
    assert most_memory(lambda: refused("measure", "perceptron", "bomb.npz")) < 10e6
    assert most_memory(lambda: refused("estimate", "--counts", "bomb.npy")) < 10e6


def test_what_follows_the_values_of_an_array_is_never_unpacked(tmp_path):
    """A member of a few kilobytes that unpacks to 100 megabytes."""
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as file:
        for name in ARRAYS:
            with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                member.write(npy("(2,)", dtype="<i8", content=b"\0" * 16))
                for _ in range(100):
                    member.write(bytes(10**6))
    assert (tmp_path / "bomb.npz").stat().st_size < 10**6

    def read() -> None:
        with pytest.raises(InputError, match=r"bomb.npz needs features \(n, d\) or images .*, got \(2,\)"):
            npz.load(str(tmp_path / "bomb.npz"))

    assert most_memory(read) < 10e6


def test_an_idx_file_is_read_as_far_as_it_declares(tmp_path):
    with gzip.open(tmp_path / "bomb.gz", "wb") as file:
        file.write(bytes([0, 0, 8, 1]) + (10).to_bytes(4, "big"))
        for _ in range(100):
            file.write(bytes(10**6))

    def read() -> None:
        with pytest.raises(InputError, match=r"must hold 10 values of shape .*, got more"):
            idx.read_idx(tmp_path / "bomb.gz")

    assert most_memory(read) < 10e6
    (tmp_path / "claim").write_bytes(bytes([0, 0, 8, 2]) + b"\xff" * 8)
    with pytest.raises(InputError, match="may hold at most 1,073,741,824 values"):
        idx.read_idx(tmp_path / "claim")


def test_a_picture_of_billions_of_pixels_is_refused(tmp_path):
    images = pytest.importorskip("PIL.Image")
    for half in ("train", "test"):
        for name in ("a", "b"):
            (tmp_path / half / name).mkdir(parents=True)
        images.new("1", (20_000, 10_000)).save(tmp_path / half / "a" / "bomb.png")
    with pytest.raises(InputError, match=r"bomb\.png needs to be an image that Pillow reads; it raised .*bomb"):
        folder.load(str(tmp_path))


def test_nothing_is_written_outside_of_the_folder(tmp_path, monkeypatch, spec_text, little_images):
    """Names of data sets with ../ and tags become the name of a folder inside of --out, and files stay in it."""
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    (tmp_path / "data <b>").mkdir()
    file = tmp_path / "data <b>" / "x.npz"
    np.savez(file, **{name: getattr(little_images, name) for name in ARRAYS})
    datasets.read(str(file))
    (tmp_path / "spec.toml").write_text(spec_text.replace("clean_examples = 100", "").replace("mlp1", "perceptron"))
    before = {path for path in tmp_path.rglob("*") if path != inside}
    result = run("simulate", tmp_path / "spec.toml", "--dataset", "../../data <b>/x.npz", "--out", "out")
    assert result.exit_code == 0, result.output
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(inside)} | {inside.parent} == before
    assert [path.name for path in inside.iterdir()] == ["out"]
    assert json.loads((inside / "out" / "sweep.json").read_text())["spec"]["simulation"]["name"] == "tiny-data-b-x-npz"


def test_no_shell_and_no_evaluation_of_text_anywhere():
    """Calls that would run a command or text as code are in no file of the package."""
    forbidden = re.compile(
        r"(os\.(system|popen|exec\w*|spawn\w*)|subprocess\.\w+|eval|exec|compile|(pickle|dill|marshal)\.loads?)$"
    )
    for path in Path(effbatch.__file__).parent.rglob("*.py"):
        calls = [
            ast.unparse(n.func)
            for n in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(n, ast.Call)
        ]
        assert not [call for call in calls if forbidden.match(call)], path


def most_memory(act: Callable[[], object]) -> int:
    """Bytes that `act` held at most at once, beyond those held before."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_versions_that_are_known_to_run_code_of_a_checkpoint_are_not_accepted():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "torch>=2.6" in project["dependencies"]  # CVE-2025-32434
