"""Every key of a spec with every kind of wrong value: read, or refused in one sentence; files that are no specs."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from itertools import product

import pytest
from bad_input import refused
from hypothesis import example, given
from hypothesis import strategies as st

from effbatch import claims
from effbatch.core.errors import SpecError
from effbatch.plan import spec as specs
from effbatch.plan.cube import CORE_DIMS

VALUES = [
    "nan", "inf", "-1", "0", "-0.0", "1e30", "1e308", "9" * 30, "9" * 400, '""', '"x"', '"\\u0000"', '"../../x"',
    "true",
    "[]", "[[]]", "[[1]]", '[1, "a"]', "[1, 1]", "[nan]", "[true]", "[{}]", "[1e308]", '["a", "a"]', "{}", "{ a = 1 }",
    "1979-05-27", "[1979-05-27]", "07:32:00", "1000000000", "{ steps = 1e30 }", "{ epochs = nan }",
    "{ examples = 1e300 }",
    "{ start = 1e-300, stop = 1e300, factor = 1.0000000001 }", "{ start = 1, stop = 2, factor = 2, refine = 1e9 }",
    "{ start = nan, stop = 1, factor = 2 }",
]  # fmt: skip
GRID = sorted({*CORE_DIMS, *specs._names(specs.Data), *specs._names(specs.Train)})
KEYS = [
    *product(["simulation"], ("name", "title", "claim", "figure")),
    *product(["data"], specs._names(specs.Data)),
    *product(["train"], specs._names(specs.Train)),
    *product(["grid"], GRID),
    ("claim", "kind"),
]
RULES = [(kind, key) for kind in claims.kinds() for key in claims.get(kind).RULE]


def read_or_refused(text: str) -> None:
    """Read into a spec and a rule that JSON holds, or one short sentence."""
    try:
        spec = specs.parse(text)
        spec = replace(spec, claim=claims.rule_of(spec.claim, spec.name))
    except SpecError:
        return
    json.dumps(spec.resolved(), allow_nan=False)


def with_key(text: str, section: str, lines: str) -> str:
    """The spec with the lines in a section, in place of those of the same keys."""
    ours = {line.partition("=")[0].strip() for line in lines.splitlines()}
    kept, here = [], ""
    for line in text.splitlines():
        here = line if line.startswith("[") else here
        if here != f"[{section}]" or line.partition("=")[0].strip() not in ours:
            kept.append(line)
        if line == f"[{section}]":
            kept.append(lines)
    return "\n".join(kept)


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
    from conftest import SPEC

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
        ("simulation = 1", "[simulation] in spec must be a table; 1 came"),
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
    ("old", "new", "sentence"),
    [
        ("seed = 2", "seed = 1000000000", "a count of at least 1 and at most 10,000,000, or a list; 1000000000 came"),
        ("seed = 2", "seed = 5000000", "a grid has at most 10,000,000 cells; 20,000,000 came: shorten its lists"),
        ("seed = 2", f"seed = 1\nwarmup = {[i / 20000 for i in range(20000)]}", "10,000 combinations .* 20,000 came"),
        ("[0.1, 0.4]", "[0, 0.1]", "learning_rate must hold finite numbers of at least 1e-15; 0 came"),
        ("[0.1, 0.4]", "[1e30]", r"learning_rate must hold finite numbers of at most 1e\+15; 1e\+30 came"),
        ("[8]", "[2000000]", r"batch_size must hold finite numbers of at most 1e\+06; 2000000 came"),
        ("{ steps = 20 }", "{ steps = 1e30 }", r"budget steps must be at most 1e\+12; 1e\+30 came"),
        ("{ steps = 20 }", "{ steps = 0 }", "must be a positive number; 0 came"),
        ('"tiny"', f'"{"a" * 101}"', "at most 100 characters; 101 came"),
        ('"tiny"', '"../tiny"', "name must be letters, digits, - and _; '../tiny' came"),
        ('"tiny"', '"/tiny"', "name must be letters"),
        ('"tiny"', '"ti\\u0000ny"', r"name must be letters, digits, - and _; 'ti\\x00ny' came"),
        ('title = "Tiny"', "title = 3", "title must be a string; 3 came"),
    ],
)  # fmt: skip
def test_limits_are_named(spec_text, old, new, sentence):
    with pytest.raises(SpecError, match=sentence):
        specs.parse(spec_text.replace(old, new))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("binary.toml", bytes(range(256)), "is not UTF-8 text"),
        ("large.toml", b"#" * (specs.MAX_SPEC_BYTES + 1), "a spec is at most 1000000 bytes"),
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
    assert "tiny came twice" in refused("validate", tmp_path / "a.toml", tmp_path / "a.toml", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
