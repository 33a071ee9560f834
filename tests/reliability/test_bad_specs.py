"""Keys of a spec with values of every wrong kind, and files that are not specs, are read or refused in one sentence."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from itertools import product

import pytest
from bad_input import refused
from hypothesis import example, given
from hypothesis import strategies as st
from spec_lines import SPEC, with_key

from effbatch import claims
from effbatch.core.errors import SpecError
from effbatch.plan import options
from effbatch.plan import spec as specs

VALUES = [
    "nan", "inf", "-1", "0", "-0.0", "1e30", "1e308", "9" * 30, "9" * 400, '""', '"x"', '"\\u0000"', '"../../x"',
    "true",
    "[]", "[[]]", "[[1]]", '[1, "a"]', "[1, 1]", "[nan]", "[true]", "[{}]", "[1e308]", '["a", "a"]', "{}", "{ a = 1 }",
    "1979-05-27", "[1979-05-27]", "07:32:00", "1000000000", "{ steps = 1e30 }", "{ epochs = nan }",
    "{ examples = 1e300 }",
    "{ start = 1e-300, stop = 1e300, factor = 1.0000000001 }", "{ start = 1, stop = 2, factor = 2, refine = 1e9 }",
    "{ start = nan, stop = 1, factor = 2 }",
]  # fmt: skip
KEYS = [
    *product(["simulation"], options.SIMULATION),
    *product(["data"], options.DATA),
    *product(["train"], options.TRAIN),
    *product(["grid"], sorted({*options.GRID, *options.DATA, *options.TRAIN})),
    *product(["data", "train", "grid"], ["augment"]),
    ("claim", "kind"),
]
RULES = [(kind, key) for kind in claims.kinds() for key in claims.get(kind)().rule if key != "kind"]


def read_or_refused(text: str) -> None:
    """Read into a spec and a rule that JSON holds, or one short sentence."""
    try:
        spec = specs.parse(text)
        spec = replace(spec, claim=claims.claim_of(spec.claim, spec.name).rule)
    except SpecError:
        return
    json.dumps(spec.resolved(), allow_nan=False)


@pytest.mark.parametrize(("section", "key"), KEYS, ids=[".".join(key) for key in KEYS])
def test_every_key_with_every_wrong_value(spec_text, section, key):
    for value in VALUES:
        read_or_refused(with_key(spec_text, section, f"{key} = {value}"))


@pytest.mark.parametrize(("kind", "key"), RULES, ids=[".".join(rule) for rule in RULES])
def test_every_key_of_a_rule_with_every_wrong_value(spec_text, kind, key):
    for value in VALUES:
        read_or_refused(with_key(spec_text, "claim", f'kind = "{kind}"\n{key} = {value}'))


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)


def toml(value: object) -> str:
    """A value as TOML; None as a date."""
    match value:
        case None:
            return "1979-05-27"
        case bool():
            return str(value).lower()
        case str():
            return json.dumps(value.replace("\x7f", ""), ensure_ascii=False)
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            return f"{{ {', '.join(f'{json.dumps(k)} = {toml(v)}' for k, v in value.items())} }}"
    return repr(value)


@given(
    st.sampled_from(KEYS),
    st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("ab"), inner)),
)
@example(("data", "order"), [[1]])
@example(("grid", "seed"), 10**9)
def test_any_value_of_any_key(key, value):
    text = with_key(SPEC, key[0], f"{key[1]} = {toml(value)}")
    tomllib.loads(text)  # so it is the spec that refuses
    read_or_refused(text)


@given(st.text(max_size=60) | st.text("[]{}=\"'.#\n aτ1", max_size=60))
def test_any_text(text):
    read_or_refused(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a = " + "[" * 5000 + "]" * 5000, "nests tables or lists too deeply"),
        ("a = " + "{ b = " * 3000 + "1" + " }" * 3000, "nests tables or lists too deeply"),
        ("x" * 100_000 + " = 1", "unknown key 'xxx"),
        ("simulation = 1", "[simulation] in spec must be a table, got 1"),
        ("[[simulation]]\nname = 'x'", "[simulation] in spec must be a table"),
        ("a = 1\na = 2", "is not valid TOML"),
    ],
    ids=["deep list", "deep table", "long key", "no table", "array of tables", "twice"],
)
def test_text_that_is_no_spec(text, sentence):
    with pytest.raises(SpecError) as error:
        specs.parse(text)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("section", "lines", "sentence"),
    [
        ("grid", "seed = 1000000000", "[grid] seed must be a count from 1 to 10,000,000, or a list, got 1000000000"),
        ("grid", "seed = 5000000", "[grid] may have at most 10,000,000 cells, got 20,000,000: shorten its lists"),
        (
            "grid",
            f"seed = 1\nwarmup = {[i / 20000 for i in range(20000)]}",
            "[grid] may have at most 10,000 combinations of [data] and [train] keys, got 20,000: shorten its lists",
        ),
        (
            "grid",
            "learning_rate = [0, 1]",
            "[grid] learning_rate must be a number from 1e-15 to 1e+15, got 0",
        ),
        ("grid", "learning_rate = [1e30]", "[grid] learning_rate must be a number from 1e-15 to 1e+15, got 1e+30"),
        ("grid", "batch_size = [2000000]", "[grid] batch_size must be a whole number from 1 to 1,000,000, got 2000000"),
        ("train", "budget = { steps = 1e30 }", "budget steps must be a number above 0 and at most 1e+12, got 1e+30"),
        ("train", "budget = { steps = 0 }", "budget steps must be a number above 0 and at most 1e+12, got 0"),
        (
            "simulation",
            f'name = "{"a" * 101}"',
            "letters, digits, - and _, at most 100 characters, got 'aaa",
        ),
        (
            "simulation",
            'name = "../tiny"',
            "letters, digits, - and _, at most 100 characters, got '../tiny'",
        ),
        ("simulation", 'name = "/tiny"', "name must be letters, digits, - and _, at most 100 characters, got '/tiny'"),
        (
            "simulation",
            'name = "ti\\u0000ny"',
            "letters, digits, - and _, at most 100 characters, got 'ti\\x00ny'",
        ),
        ("simulation", "title = 3", "[simulation] title must be text, got 3"),
    ],
)
def test_limits_are_named(spec_text, section, lines, sentence):
    with pytest.raises(SpecError) as error:
        specs.parse(with_key(spec_text, section, lines))
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("binary.toml", bytes(range(256)), "is not UTF-8 text"),
        ("large.toml", b"#" * (specs.MAX_SPEC_BYTES + 1), "a spec is at most 1,000,000 bytes, got 1,000,001"),
        ("empty.toml", b"", "name must be letters"),
        ("spa ce é 日.toml", b"[", "is not valid TOML"),
        ("folder.toml", None, "cannot be read (Is a directory)"),
        ("missing.toml", ..., "cannot be read (No such file"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.endswith("toml") else "",
)
@pytest.mark.parametrize("command", [("simulate", "--out", "out"), ("validate",)], ids=lambda command: command[0])
def test_a_file_that_is_no_spec(command, name, content, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if content is None:
        (tmp_path / name).mkdir()
    elif content is not ...:
        (tmp_path / name).write_bytes(content)
    assert sentence in refused(*command, name)


def test_one_simulation_twice_is_refused(spec_text, tmp_path):
    (tmp_path / "a.toml").write_text(spec_text)
    assert "got tiny twice" in refused("validate", tmp_path / "a.toml", tmp_path / "a.toml", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
