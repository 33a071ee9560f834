"""The sdist and the wheel built from it hold what they must, and the wheel works where there is no checkout."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tarfile
import time
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OUTSIDE = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """Folder with the sdist of this checkout and the wheel of that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def in_wheel(built) -> set[str]:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        return set(wheel.namelist())


def test_the_wheel_holds_every_module_spec_template_and_the_type_marker(in_wheel):
    expected = {str(path.relative_to(ROOT)) for path in (ROOT / "effbatch").rglob("*.py")}
    expected |= {f"effbatch/bundled/simulations/{path.name}" for path in (ROOT / "simulations").glob("*.toml")}
    templates = ROOT / "reports" / "templates"
    expected |= {
        f"effbatch/bundled/templates/{path.relative_to(templates)}" for path in templates.rglob("*") if path.is_file()
    }
    expected |= {"effbatch/py.typed", "effbatch/advice/law_scores.json"}
    assert not expected - in_wheel


def test_the_wheel_holds_nothing_else(in_wheel):
    assert {name.split("/")[0].split("-")[0] for name in in_wheel} == {"effbatch"}
    assert not [name for name in in_wheel if name.endswith(".nc") or "/results/" in name]


def test_the_sdist_holds_what_its_tests_and_its_documentation_read(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        inside = {name.partition("/")[2] for name in sdist.getnames()}
    for name in (
        "tests/conftest.py",
        "simulations/results/digits/cube.nc",
        "benchmarks/prediction.py",
        "constraints.txt",
    ):
        assert name in inside
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")} <= inside


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Path:
    """`effbatch` of a fresh environment that has the wheel, and of this environment only its dependencies."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, symlinks=True)
    scripts = Path(sysconfig.get_path("scripts", "venv", {"base": str(folder)}))
    install = [sys.executable, "-m", "pip", "--python", str(scripts / "python"), "install", "--quiet", "--no-index"]
    subprocess.run([*install, "--no-deps", str(next(built.glob("*.whl")))], check=True, env=OUTSIDE)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder)}))
    # A folder named in a .pth comes after the environment's own; its own .pth files (an editable effbatch) are not read
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return scripts / "effbatch"


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run([str(c) for c in command], cwd=folder, env=OUTSIDE, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_installed_package_is_the_one_that_runs(installed, tmp_path):
    code = "import effbatch, effbatch.core.resources as r; print(effbatch.__file__, r.bundled('simulations'))"
    for path in run(installed.parent / "python", "-c", code, folder=tmp_path).split():
        assert path.startswith(str(installed.parent.parent))


def test_predict_and_laws_run_outside_the_checkout(installed, tmp_path):
    said = json.loads(run(installed, "predict", "--alpha", "50", "--batch", "128", "--json", folder=tmp_path))
    assert said["restoring_batch_size"] == 128 * 51**2
    assert "square_root_clean_count" in run(installed, "laws", folder=tmp_path)


def test_a_sweep_is_run_judged_and_rendered_outside_the_checkout(installed, tmp_path, spec_text):
    (tmp_path / "tiny.toml").write_text(spec_text, encoding="utf-8")
    run(installed, "validate", "tiny.toml", "--out", "out", folder=tmp_path)
    assert (tmp_path / "out" / "report.pdf").read_bytes().startswith(b"%PDF")
    run(installed, "report", "out", "--out", "again.md", folder=tmp_path)
    assert "Tiny" in (tmp_path / "again.md").read_text(encoding="utf-8")


def test_types_are_seen_from_outside(installed, tmp_path):
    (tmp_path / "user.py").write_text(
        "import effbatch.theory.moments\nreveal_type(effbatch.theory.moments.GradientMoments)\n"
    )
    mypy = [sys.executable, "-m", "mypy", "--python-executable", installed.parent / "python", "--follow-imports=silent"]
    said = run(*mypy, "--cache-dir", tmp_path / "cache", "user.py", folder=tmp_path)
    assert "GradientMoments" in said
    assert '"Any"' not in said


def test_predict_starts_within_three_times_click_and_numpy():
    def seconds(*arguments: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, cwd=ROOT)
        return time.perf_counter() - began

    ratios = [
        seconds("-m", "effbatch", "predict", "--alpha", "50", "--batch", "128") / seconds("-c", "import click, numpy")
        for _ in range(5)
    ]
    assert statistics.median(ratios) <= 3
