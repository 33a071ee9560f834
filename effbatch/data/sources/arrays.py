"""Arrays of examples and labels -> a `DataSet`, with one line that says how they were read."""

from __future__ import annotations

from typing import Any

import numpy as np

from effbatch.core.errors import InputError
from effbatch.data.classes import class_indices
from effbatch.data.dataset import DataSet, fingerprint
from effbatch.data.inputs import inputs
from effbatch.data.split import stratified

PAIRS = (("x", "y"), ("images", "labels"), ("features", "labels"), ("data", "target"), ("X", "y"))
OPTIONS = ("num_classes", "channels")


def dataset(
    name: str,
    train: tuple[Any, Any],
    test: tuple[Any, Any] | None = None,
    *,
    num_classes: Any = None,
    channels: str | None = None,
    source: str = "",
) -> DataSet:
    """(examples, labels) of each half; without a test half a fifth of every class is drawn for it.

    See `inputs` and `class_indices` for what is understood; neither changes the scale of floating numbers. InputError
    where examples or labels are of another kind. `dataset.checked` looks at the rest.
    """
    halves = [train] if test is None else [train, test]
    x, words = inputs(name, *(half[0] for half in halves), channels=channels)
    y, class_names = class_indices(name, *(half[1] for half in halves), num_classes=num_classes)
    split = ""
    if test is None:
        if len(x[0]) != len(y[0]):
            raise InputError(f"{name} needs one label for each example, got {len(y[0])} for {len(x[0])}: check both")
        kept, drawn = stratified(y[0])
        x, y = [x[0][kept], x[0][drawn]], [y[0][kept], y[0][drawn]]
        split = ", a fifth of every class drawn for testing"
        if not len(drawn):
            raise InputError(
                f"{name} needs a test set, or 5 examples of some class to draw one from, got {len(kept)} examples"
            )
    return DataSet(
        name=name,
        x_train=x[0],
        y_train=y[0],
        x_test=x[1],
        y_test=y[1],
        num_classes=len(class_names),
        source=source or name,
        fingerprint=fingerprint(x[0], y[0], x[1], y[1], np.array(len(class_names))),
        class_names=class_names,
        read_as=f"{words}{split}",
    )


def from_mapping(name: str, arrays: Any, *, source: str = "") -> DataSet:
    """The data set in arrays by name: x_train, y_train, x_test, y_test, or a pair without a test set.

    Pairs are x and y, images and labels, features and labels, or data and target; `num_classes` and `channels` are
    options of `dataset`. InputError names what is missing.
    """
    options = {key: _plain(arrays[key]) for key in OPTIONS if key in arrays}
    if "x_train" in arrays and "y_train" in arrays:
        test = ("x_test", "y_test") if "x_test" in arrays or "y_test" in arrays else ("x_val", "y_val")
        half = [key in arrays for key in test]
        if all(half) or not any(half):
            given = (arrays[test[0]], arrays[test[1]]) if all(half) else None
            return dataset(name, (arrays["x_train"], arrays["y_train"]), given, **options, source=source)
    elif found := [pair for pair in PAIRS if pair[0] in arrays and pair[1] in arrays]:
        if len(found) > 1:
            raise InputError(
                f"{name} holds {' and '.join(map(', '.join, found))}: keep one pair of examples and labels"
            )
        return dataset(name, (arrays[found[0][0]], arrays[found[0][1]]), **options, source=source)
    raise InputError(
        f"{name} needs the arrays x_train, y_train, x_test, y_test, or x and y alone; it has "
        f"{', '.join(map(str, arrays)) or 'none'}: rename them",
        held=list(arrays),
    )


def _plain(value: Any) -> Any:
    """A string that an .npz file holds as an array of one."""
    found = np.asarray(value)
    return str(found) if found.dtype.kind == "U" and found.ndim == 0 else value
