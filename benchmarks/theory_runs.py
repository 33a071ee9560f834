"""The runs that test the theory, as specs by name: Adam beside SGD on untried networks, and what moves an exponent."""

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


def _exponent_test(name: str, train: str, grid: str) -> str:
    return f"""
        [simulation]
        name = "{name}"
        [data]
        dataset = "digits"
        [train]
        optimizer = "sgd"
        evaluations = 1
        {train}
        [grid]
        batch_size = [32]
        {grid}
        seed = 10
    """


_RATES = "learning_rate = {{ start = {}, stop = {}, factor = 1.4142135623730951 }}"
_STARTS = ["mlp1", *(f"benchmarks/untried_networks.py:mlp1_{start}" for start in ("zero", "large"))]
EXPONENT_TESTS = {
    "start": _exponent_test(  # how much there is to forget
        "start",
        "budget = { steps = 1000 }",
        f"network = {_STARTS}\nalpha = [1, 3, 7, 15]\n" + _RATES.format(2**-6, 1),
    ),
    "smoothing": _exponent_test(
        "smoothing",
        'network = "mlp1"\nbudget = { steps = 1000 }',
        "label_smoothing = [0.0, 0.3]\nalpha = [0, 3, 15]\n" + _RATES.format(2**-5, 4),
    ),
    "steps": _exponent_test(
        "steps",
        'network = "mlp1"',
        "budget = [{ steps = 50 }, { steps = 500 }, { steps = 5000 }]\nalpha = [1, 7]\n" + _RATES.format(2**-7, 1),
    ),
}
ADAM_TESTS = {f"{name}_{optimizer}": _adam_test(name, optimizer) for name in NETWORKS for optimizer in ("sgd", "adam")}


def _delta_test(
    name: str, network: str, dataset: str, rates: tuple[int, int], seeds: int = 6, how: str = 'optimizer = "sgd"'
) -> str:
    small = dataset == "mnist14.npz"
    return f"""
        [simulation]
        name = "{name}"
        [data]
        dataset = "{dataset}"
        [train]
        network = "{network}"
        {how}
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
    "delta_momentum": _delta_test(  # not yet run, as Adam
        "delta_momentum", "mlp1", "digits", (-8, -1), seeds=4, how='optimizer = "sgd"\n        momentum = 0.9'
    ),
    "delta_adam": _delta_test("delta_adam", "mlp1", "digits", (-11, -4), seeds=4, how='optimizer = "adam"'),
}
SWEEPS = ADAM_TESTS | EXPONENT_TESTS | DELTA_TESTS
