"""Lists of the grid and their values -> the words of texts and charts: "degree = 1", "forward correction"."""

from __future__ import annotations

from numbers import Real

LISTS = {
    "alpha": "α",
    "batch_size": "B",
    "budget": "training length",
    "delta": "degree",  # of structured noise; δ is the exponent of the effective batch
    "last_layer": "scale of the last layer",
}
VALUES = {
    "cross_entropy": "cross-entropy",
    "forward": "forward correction",
    "gce": "generalised cross-entropy",
    "given": "the labels given",
    "same_matrix": "noise of the same matrix",
    "same_rate": "uniform noise of the same rate",
}


def list_in_words(name: object) -> str:
    """A list of the grid, a dim of a cube, as people call it.

    >>> list_in_words("label_smoothing")
    'label smoothing'
    """
    return LISTS.get(str(name), str(name).replace("_", " "))


def value_in_words(name: object, value: object) -> str:
    """One value of such a list, with the list's name where it is a number.

    >>> value_in_words("last_layer", 3.0), value_in_words("loss", "gce")
    ('scale of the last layer = 3', 'generalised cross-entropy')
    """
    return f"{list_in_words(name)} = {bare_value(value)}" if isinstance(value, Real) else bare_value(value)


def bare_value(value: object) -> str:
    """The same without the list's name.

    >>> bare_value(3.0), bare_value("gce")
    ('3', 'generalised cross-entropy')
    """
    return f"{float(value):g}" if isinstance(value, Real) else VALUES.get(str(value), str(value))
