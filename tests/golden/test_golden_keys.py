"""Unit keys and fingerprints of data are as of old: they decide whether a sweep that was begun before can go on.

They are written here, not recorded: a change of any of them breaks the sweeps of users.
"""

from __future__ import annotations

import inside
import pytest
from commands import HERE, RESULTS

SIMULATIONS = RESULTS.parent
FASHION_MNIST = "b42e0f3189f494f730119201c9e1a41654a875ffd564ea07b7cf8032d5327c02"
FINGERPRINTS = {
    "digits": "f919793815c4939f84d5f0653ce275f37c99c866df66d669776efad5b170ded2",
    "fashion-mnist": FASHION_MNIST,
    "fashion-mnist-14": FASHION_MNIST,
}


def test_units_of_a_spec_with_many_options():
    assert inside.unit_keys(HERE / "keys.toml") == [
        "85793670e97bef42",
        "0acee021b03d59f9",
        "63637f32c0c4b199",
        "539a6cff39321985",
    ]


def test_units_that_were_cut_down_to_some_cells():
    keys = inside.unit_keys(HERE / "keys.toml", cells=["alpha=3", "seed=1"])
    assert keys == ["5723dfcb5b7d3679", "ef8956662cbd22a1"]


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("learning_rate_adam", ["52112b34f7a6399c", "3bcb096613e5ad16", "2c698e193d3946fa"]),
        ("memorisation", ["227d0bf8efb520f7", "4b508c60ba338f67", "b52e1f7fec8c805d"]),
        ("moments", ["3d2ceb7e3e19a987"]),
        ("noise_source", ["21540f29c262817f", "2ffcc0d18d7f2f4b", "5ab303749ded06aa", "d5f56d181fa96b85"]),
    ],
)
def test_units_of_a_built_in_simulation(name, keys):
    assert inside.unit_keys(SIMULATIONS / f"{name}.toml", quick=True) == keys


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_fingerprints_of_built_in_data(name):
    found = inside.fingerprint(name)
    if found is None:
        pytest.skip(f"{name} is not here")
    assert found == FINGERPRINTS[name]
