"""Cube and report name the precision of the training."""

from __future__ import annotations

import pytest

from effbatch.core.figures import Table
from effbatch.plan import spec
from effbatch.sweep.runner import simulate
from effbatch.validation.document import report
from effbatch.validation.judged import judge_all


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_cube_and_report_name_it(spec_text, tmp_path, precision):
    text = spec_text.replace("[train]", f'[train]\nprecision = "{precision}"')
    cube = simulate(spec.parse(text), tmp_path)
    assert cube.attrs["arithmetic"].startswith(f"{precision};")
    (costs,) = (t for c in report(judge_all({"tiny": cube}), []).chapters for t in c.all(Table) if t.name == "costs")
    assert str(costs.rows[0][-1]).endswith(", bfloat16") == (precision == "bfloat16")
