"""Two .npy files, EXAMPLES.npy:LABELS.npy -> a `DataSet`; nothing is unpickled."""

from __future__ import annotations

from pathlib import Path

from numpy.typing import NDArray

from effbatch.core.errors import InputError, beside
from effbatch.core.npyfile import BROKEN, read_array
from effbatch.data.dataset import DataSet
from effbatch.data.reading import PLAIN, Reading
from effbatch.data.sources import arrays


def takes(name: str) -> bool:
    """Whether a name is that of .npy files."""
    return name.endswith(".npy")


def load(name: str, reading: Reading = PLAIN) -> DataSet:
    """Examples and labels in two files; a fifth of every class is drawn for testing. InputError for one file alone."""
    reading.only(name, "channels", "tokens")
    examples, colon, labels = name.rpartition(":")
    if not colon or not examples.endswith(".npy"):
        raise InputError(f"{name} needs a file of labels beside it, got one file: write EXAMPLES.npy:LABELS.npy")
    return arrays.dataset(Path(examples).name, (_read(examples), _read(labels)), reading=reading, source=name)


def _read(path: str) -> NDArray:
    try:
        with Path(path).open("rb") as file:
            return read_array(file)
    except OSError as error:
        raise InputError(f"the data file {path} cannot be read: {error.strerror or error}{beside(path)}") from error
    except BROKEN as error:
        raise InputError(
            f"{path} is not an .npy file of a plain array ({str(error).partition(chr(10))[0]}): save it by numpy.save"
        ) from error
