"""The runs of the tests of the theory, as specs by name: Adam beside SGD on networks that nothing was worked out on."""

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


SWEEPS = {f"{name}_{optimizer}": _adam_test(name, optimizer) for name in NETWORKS for optimizer in ("sgd", "adam")}
