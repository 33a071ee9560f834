"""The runs that test the theory, as specs by name: Adam beside SGD on untried networks, and what sets δ."""

from __future__ import annotations

NETWORKS = {  # name -> (network, exponents of 2 of the rates of SGD, of Adam)
    "bn_mlp": ("bn_mlp", range(-7, 2), range(-10, -3)),
    "gelu_conv": ("gelu_conv", range(-5, 4), range(-12, -3)),
    "bag": ("Bag", range(-2, 7), range(-9, 0)),
}


def _adam_test(name: str, optimizer: str) -> str:
    function, sgd, adam = NETWORKS[name]
    rates = [2.0**i for i in (sgd if optimizer == "sgd" else adam)]
    alphas = [2, 8] if (name, optimizer) == ("bn_mlp", "adam") else [0, 2, 8]  # it trains slowly
    return f"""
        [simulation]
        name = "{name}_{optimizer}"
        [data]
        dataset = "digits"
        [train]
        network = "benchmarks/untried_networks.py:{function}"
        optimizer = "{optimizer}"
        budget = {{ steps = 200 }}
        evaluations = 1
        [grid]
        alpha = {alphas}
        batch_size = [16, 64]
        learning_rate = {rates}
        seed = 5
    """


ADAM_TESTS = {f"{name}_{optimizer}": _adam_test(name, optimizer) for name in NETWORKS for optimizer in ("sgd", "adam")}


def _delta_test(name: str, network: str, dataset: str, rates: tuple[int, int], seeds: int = 6) -> str:
    small = dataset == "mnist14.npz"
    return f"""
        [simulation]
        name = "{name}"
        [data]
        dataset = "{dataset}"
        [train]
        network = "{network}"
        optimizer = "sgd"
        budget = {{ steps = {1500 if small else 2000} }}
        evaluations = 32
        [grid]
        alpha = [0, 1, 3, 7]
        batch_size = {[16, 32, 64, 128] if small else [8, 16, 32, 64, 128, 256]}
        learning_rate = {{ start = {2.0 ** rates[0]}, stop = {2.0 ** rates[1]}, factor = 2 }}
        seed = {seeds}
    """


DELTA_TESTS = {  # the run of `effective_batch` with features that do not move, with two classes, on other images
    "delta_frozen": _delta_test("delta_frozen", "perceptron", "digits", (-8, -1)),
    "delta_zero": _delta_test("delta_zero", "benchmarks/untried_networks.py:perceptron_zero", "digits", (-8, -1)),
    "delta_halves": _delta_test("delta_halves", "mlp1", "halves.npz", (-7, 0)),  # digits: is it 5 or more?
    "delta_pooled": _delta_test("delta_pooled", "mlp1", "mnist14.npz", (-5, 0), seeds=5),  # means of 2×2 pixels
}
SWEEPS = ADAM_TESTS | DELTA_TESTS
