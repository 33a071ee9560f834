"""What Python callers hold, arrays, pairs, mappings, DataFrames, torch `Dataset`s and `DataLoader`s -> a `DataSet`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import islice, product
from typing import Any

import numpy as np

from effbatch.core.errors import InputError
from effbatch.data.dataset import DataSet
from effbatch.data.reading import PLAIN, Reading, array_of
from effbatch.data.sources import TESTING, TRAINING, arrays, table

MAX_EXAMPLES = 10_000_000  # of a Dataset, held in memory
KEYS = (  # of the input and the label of an example: the first that are there
    *arrays.PAIRS,
    *product(("image", "img", "pixel_values", "feature", "input", *arrays.EXAMPLES), arrays.LABELS),
)
WHOLE = ("SequentialSampler", "RandomSampler", "DistributedSampler")  # draw every example alike
PLAIN_COLLATES = ("default_collate", "default_convert")
DRAWN_AGAIN = 8  # examples, to see whether they change from draw to draw, as augmented ones do


def from_object(data: Any, reading: Reading = PLAIN) -> DataSet:
    """The data set that an object means; see `datasets.as_dataset`.

    A `DataLoader` stands for the `Dataset` that it draws from. Each example is drawn once; where a second draw gives
    another input, `read_as` says so. InputError for anything that is none of these, and for a `Dataset` whose examples
    are no pair of input and label.
    """
    train, test = data, None
    if isinstance(data, Mapping):
        halves = {key: data[key] for key in (*TRAINING, *TESTING) if key in data}
        if not {*TRAINING} & {*halves}:
            reading.only("a mapping of arrays", "channels", "tokens")
            return arrays.from_mapping("arrays", data, reading=reading)
        train, test, *_ = [*halves.values(), None]
    elif isinstance(data, tuple | list):
        if len(data) == 4 and not all(map(_is_pair, data)):
            train, test = (data[0], data[1]), (data[2], data[3])
        elif len(data) == 2 and all(_is_half(one) for one in data) and _alike(*data):
            train, test = data
    if not _is_half(train):
        size = f" of {len(data)}" if isinstance(data, tuple | list) else ""
        raise InputError(
            "data needs to be a name or path, a DataSet, arrays (x_train, y_train, x_test, y_test) or (x, y), a "
            "mapping of them, a DataFrame, a torch Dataset or a DataLoader, got "
            f"{type(data).__name__}{size}: put your examples and labels into arrays"
        )
    if _is_frame(train):
        return table.from_frame("table", train, test, reading=reading)
    reading.only("data without named columns", "channels", "tokens")
    name = type(getattr(train, "dataset", train)).__name__ if _is_torch(train) else "arrays"
    first, *others = [_half(half) for half in (train, test) if half is not None]
    read = arrays.dataset(name, first, *others, reading=reading)
    if not _augmented(train, first[0]):
        return read
    return replace(read, read_as=f"{read.read_as}, each drawn once although a second draw changes it (augmentation?)")


def _is_frame(value: Any) -> bool:
    return hasattr(value, "columns") and hasattr(value, "iloc")


def _alike(first: Any, second: Any) -> bool:
    """Whether two tables have the same columns, as halves have, and examples and labels have not."""
    return not (_is_frame(first) and _is_frame(second)) or list(first.columns) == list(second.columns)


def _is_pair(value: Any) -> bool:
    """Whether it is (examples, labels), and not a list of two numbers, or of two examples with their labels."""
    return isinstance(value, tuple | list) and len(value) == 2 and all(_length(one) is not None for one in value)


def _length(value: Any) -> int | None:
    """How many examples or labels it holds; None for a single one."""
    if isinstance(value, str | bytes) or getattr(value, "shape", None) == () or not hasattr(value, "__len__"):
        return None
    return value.shape[0] if hasattr(value, "toarray") else len(value)


def _is_half(value: Any) -> bool:
    """Whether it holds examples with their labels."""
    listed = isinstance(value, list) and value != [] and all(isinstance(one, tuple) and len(one) == 2 for one in value)
    return _is_frame(value) or _is_pair(value) or _is_torch(value) or isinstance(value, Mapping) or listed


def _is_torch(value: Any) -> bool:
    """A `Dataset`, a `DataLoader` or an iterator, told by what they can do: torch is not imported for that."""
    plain = isinstance(value, np.ndarray | str | bytes) or hasattr(value, "dtype") or hasattr(value, "iloc")
    return (
        not plain
        and (hasattr(value, "__getitem__") or hasattr(value, "__iter__"))
        and not isinstance(value, tuple | list | Mapping)
    )


def _half(data: Any) -> tuple[Any, Any]:
    """All examples and labels of a half; of a DataLoader its Dataset's, as batches and order do not matter here."""
    loader, data = data, getattr(data, "dataset", data)
    if _is_pair(data):
        _check_index(*data)
        return data[0], data[1]
    if isinstance(data, Mapping):
        return _pair(data)
    x, y = [], []
    for example in _examples(data, loader):
        one, label = _pair(example)
        x.append(array_of("an example", one))
        y.append(array_of("a label", label))
        if len(x) > MAX_EXAMPLES:
            raise InputError(
                f"a Dataset is held in memory: at most {MAX_EXAMPLES:,} examples, got more: give a part of it"
            )
    if not x:
        raise InputError(f"{type(data).__name__} needs at least one example, got none: look at its length")
    shapes = {one.shape for one in x}
    if len(shapes) > 1:
        few = ", ".join(map(str, sorted(shapes, key=str)[:3]))
        raise InputError(f"the examples of {type(data).__name__} need one shape, got {few}: resize or pad them")
    return np.stack(x), np.stack(y)


def _augmented(data: Any, x: Any) -> bool:
    """Whether a `Dataset` gives other inputs when its first examples `x` are drawn again."""
    loader, data = data, getattr(data, "dataset", data)
    if not (_is_torch(data) and hasattr(data, "__len__") and hasattr(data, "__getitem__")) or _is_pair(data):
        return False
    again = [_pair(example)[0] for example in islice(_examples(data, loader), DRAWN_AGAIN)]
    return any(not np.array_equal(array_of("an example", new), old) for new, old in zip(again, x, strict=False))


def _check_index(x: Any, y: Any) -> None:
    """InputError where rows of pandas are numbered alike, but stand in another order."""
    if not (hasattr(x, "iloc") and hasattr(y, "iloc")) or x.index.equals(y.index):
        return
    if x.index.sort_values().equals(y.index.sort_values()):
        raise InputError(
            "examples and labels need rows in one order, got the same index in another: sort one like the other "
            "(labels.loc[examples.index]), or leave the index out (.to_numpy())"
        )


def _examples(data: Any, loader: Any) -> Iterable[Any]:
    """The examples one after the other, as the loader changes them, where it draws them; InputError for too many."""
    collate = getattr(loader, "collate_fn", None)
    if collate is None or getattr(collate, "__name__", "") in PLAIN_COLLATES:
        return _drawn(data, loader)
    return (_first(collate([example])) for example in _drawn(data, loader))


def _first(batch: Any) -> Any:
    """The one example in a batch of one."""
    if isinstance(batch, Mapping):
        return {key: value[0] if _length(value) == 1 else value for key, value in batch.items()}
    return [value[0] if _length(value) == 1 else value for value in batch] if isinstance(batch, tuple | list) else batch


def _drawn(data: Any, loader: Any) -> Iterable[Any]:
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        return iter(data)
    if len(data) > MAX_EXAMPLES:
        raise InputError(
            f"a Dataset is held in memory: at most {MAX_EXAMPLES:,} examples, got {len(data):,}: give a part of it"
        )
    sampler = getattr(loader, "sampler", None)
    index = getattr(sampler, "indices", None)  # of a part
    others = hasattr(sampler, "weights") or _length(sampler) not in (None, len(data))
    if index is None and others and type(sampler).__name__ not in WHOLE:
        raise InputError(
            f"a DataLoader needs to draw every example alike, got one with a {type(sampler).__name__}, which draws "
            "other shares of the classes, or a part: give its Dataset, or the examples that are meant"
        )
    return (data[int(i)] for i in (range(len(data)) if index is None else index))


def _pair(example: Any) -> tuple[Any, Any]:
    """Input and label of one example, which is a pair, longer, or a mapping."""
    if isinstance(example, Mapping):
        for keys in KEYS:
            if all(key in example for key in keys):
                return example[keys[0]], example[keys[1]]
        raise InputError(
            f"an example needs an input and a label, got {', '.join(map(str, example))}: call them x and y"
        )
    if isinstance(example, tuple | list) and len(example) >= 2:
        return example[0], example[1]
    raise InputError(f"an example needs to be (input, label), got {type(example).__name__}: wrap the Dataset")
