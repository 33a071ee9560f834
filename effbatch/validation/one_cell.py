"""A judged cube -> the command that trains one of its networks again, and what that should come to."""

from __future__ import annotations

from effbatch.plan import cube
from effbatch.plan.only import options
from effbatch.validation.judged import JudgedCube


def one_cell(judged: JudgedCube) -> tuple[str, str] | None:
    """Of the setting in the middle of the grid, at its best learning rate, with the first seed; None if unfinished."""
    swept = judged.cube
    score = cube.score(swept).where(swept["outcome"] == int(cube.Outcome.FINISHED))
    middle = {dim: size // 2 for dim, size in score.sizes.items() if dim not in ("learning_rate", "seed")}
    rates = score.isel(middle).isel(seed=0)
    if not bool(rates.notnull().any()):
        return None
    cell = swept.isel({**middle, "learning_rate": int(rates.argmax("learning_rate")), "seed": 0})
    named = {str(dim): cell[dim].item() for dim in score.dims if swept.sizes[dim] > 1 or dim == "learning_rate"}
    again = "bit for bit with the same code, versions and threads: all that trained beside it does"
    if "extended" in swept.attrs:
        again = "up to rounding, which long training at high rates amplifies: the sweep was extended"
    if "ladder" in judged.spec:
        again = "up to rounding, which long training at high rates amplifies: an adaptive grid trains others beside it"
    gives = (
        f"Here it had a test accuracy of {100 * float(cell['test_accuracy']):.1f} % and a test loss of "
        f"{float(cell['test_loss']):.4f}. On such a device it has them again {again}."
    )
    return f"effbatch simulate {judged.arguments} --out cell {options(named)}", gives
