"""Networks in every dress: what they become gives the logits and gradients that a plain loop gives, and is said."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from effbatch.core.errors import InputError
from effbatch.measure.gradients import measure_moments
from effbatch.measure.kernel import measure_spectrum
from effbatch.networks import zoo
from effbatch.networks.classifier import Classifier, as_classifier, remarks
from effbatch.networks.per_image import as_images, image_gradients, logits_of, trainable_weights
from effbatch.networks.untouched import untouched

K = 3
x = torch.randn(9, 6, 4, generator=torch.Generator().manual_seed(0))
y = np.arange(9) % K
tokens = torch.randint(0, 11, (9, 6), generator=torch.Generator().manual_seed(1))


@dataclass
class Output:
    logits: torch.Tensor
    hidden: torch.Tensor


class Body(nn.Module):
    """A recurrent or attention layer, its mean over time, and a last layer; returned as `dress` says."""

    def __init__(self, layer: nn.Module, width: int, dress=lambda z, h: z, classes: int = K) -> None:
        super().__init__()
        self.layer, self.last, self.dress = layer, nn.Linear(width, classes), dress

    def forward(self, images):
        h = self.layer(images)
        h = (h[0] if isinstance(h, tuple) else h).mean(1)
        return self.dress(self.last(h), h)


class SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, images):
        return self.attention(images, images, images)


def last(images):
    return images[:, -1]


class Branching(nn.Module):
    """Looks at a value, which torch.func cannot follow."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(24, K)

    def forward(self, images):
        return torch.stack([self.last(one.flatten() if one.sum() > 0 else -one.flatten()) for one in images])


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.last = nn.Embedding(11, 5), nn.Linear(5, K)

    def forward(self, ids):
        return self.last(self.words(ids).mean(1))


def attend() -> nn.Module:
    return nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)


def gru(dress=lambda z, h: z, classes: int = K) -> nn.Module:
    return Body(nn.GRU(4, 5, batch_first=True), 5, dress, classes)


NETWORKS = {
    "tuple": lambda: gru(lambda z, h: (z, h)),
    "list": lambda: gru(lambda z, h: [z, {"hidden": h}]),
    "nested tuple": lambda: gru(lambda z, h: ((z, h), h)),
    "object": lambda: gru(Output),
    "mapping": lambda: gru(lambda z, h: {"hidden": h, "logits": z}),
    "logits on a grid": lambda: gru(lambda z, h: z[:, :, None, None]),
    "GRU": gru,
    "LSTM": lambda: Body(nn.LSTM(4, 5, num_layers=2, bidirectional=True, batch_first=True), 10),
    "RNN": lambda: Body(nn.RNN(4, 5, batch_first=True), 5),
    "attention": lambda: Body(SelfAttention(), 4),
    "transformer": lambda: Body(attend(), 4),
    "transformers": lambda: Body(nn.TransformerEncoder(attend(), 2, enable_nested_tensor=False), 4),
    "branching": Branching,
    "tokens": Words,
}


def images_for(name: str) -> torch.Tensor:
    return tokens if name == "tokens" else x


def made(name: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return NETWORKS[name]()


def plain_logits(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    out = network(images)
    while not isinstance(out, torch.Tensor):
        out = out["logits"] if isinstance(out, dict) else out.logits if isinstance(out, Output) else out[0]
    return out.flatten(1)


def explicit_moments(logits, network: nn.Module, images: torch.Tensor, classes: int) -> list[float]:
    """‖G_0‖² by pairs, S_0 and S_N for uniform noise, from one gradient after another."""
    clean, second = [], []
    for i, label in enumerate(y % classes):
        for k in range(classes):
            loss = F.cross_entropy(logits(network, images[i : i + 1]), torch.tensor([k]))
            g = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(network.parameters()))]).double()
            second.append(float(g @ g))
            clean += [g] * int(k == label)
    g = torch.stack(clean)
    n = len(g)
    pairs = (float(g.sum(0) @ g.sum(0)) - float((g * g).sum())) / (n * (n - 1))
    return [pairs, float((g * g).sum(1).mean()), float(np.mean(second))]


def three(measured) -> list[float]:
    e = measured.estimate
    return [e.clean_norm_squared, e.clean_second_moment, e.noisy_second_moment]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_the_moments_of_the_plain_loop(name):
    network, images = made(name).eval(), images_for(name)
    measured = measure_moments(network, images, y, num_classes=K)
    np.testing.assert_allclose(three(measured), explicit_moments(plain_logits, network, images, K), rtol=2e-4)
    assert measured.remarks == ()
    assert not any(layer.startswith("undressed") for layer in measured.layers)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_has_a_kernel(name):
    network, images = made(name).eval(), images_for(name)
    found = measure_spectrum(network, images[:6], y[:6], images[6:], y[6:], num_classes=K)
    rows = []
    for image in images[:6]:
        z = plain_logits(network, image[None])[0]
        gradients = [torch.autograd.grad(z[c], list(network.parameters()), retain_graph=True) for c in range(K)]
        rows.append(torch.stack([torch.cat([g.flatten() for g in of_c]) for of_c in gradients]))
    gram = torch.einsum("icp,jcp->ij", *[torch.stack(rows)] * 2).double() / K / 6
    np.testing.assert_allclose(found.eigenvalues, torch.linalg.eigvalsh(gram).flip(0), rtol=1e-3, atol=1e-6)


def single(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    z = network(images).reshape(-1, 1)
    return torch.cat([torch.zeros_like(z), z], 1)


@pytest.mark.parametrize("dress", [lambda z, h: z, lambda z, h: z.squeeze(1)], ids=["(n, 1)", "(n,)"])
def test_one_logit_is_that_of_two_classes(dress):
    network = gru(dress, classes=1)
    measured = measure_moments(network, x, y % 2, num_classes=2)
    np.testing.assert_allclose(three(measured), explicit_moments(single, network, x, 2), rtol=2e-4)
    z, labels = network(x).flatten(), torch.tensor(y % 2)
    binary = F.binary_cross_entropy_with_logits(z, labels.float())
    torch.testing.assert_close(F.cross_entropy(as_classifier(network, 2, x)(x), labels), binary)


class Probability(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(24, 1)

    def forward(self, images):
        return torch.sigmoid(self.last(images.flatten(1))).squeeze(1)


def test_one_probability_is_taken_for_one_and_said():
    network = Probability()
    logits = as_classifier(network, 2, x)
    torch.testing.assert_close(logits(x)[:, 1], network.last(x.flatten(1))[:, 0], rtol=1e-4, atol=1e-4)
    assert "sigmoid" in remarks(logits, x)[0]


class Ends(nn.Module):
    def __init__(self, end, in_training: bool = True) -> None:
        super().__init__()
        self.last, self.end, self.in_training = nn.Linear(24, K), end, in_training

    def forward(self, images):
        z = self.last(images.flatten(1))
        return z if self.training and not self.in_training else self.end(z)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (nn.Softmax(1), "ends in a softmax, but cross-entropy takes logits"),
        (lambda z: z.exp() / z.exp().sum(1, keepdim=True), "ends in a softmax"),
        (nn.LogSoftmax(1), "log-softmax, which changes nothing"),
        (nn.Sigmoid(), "ends in a sigmoid for each class, but cross-entropy takes logits"),
        (nn.Identity(), None),
        (lambda z: 2 * z.sigmoid(), None),
    ],
)
def test_probabilities_for_logits_are_said(end, words):
    network = Ends(end)
    assert as_classifier(network, K, x) is network
    said = measure_moments(network, x, y, num_classes=K).remarks
    assert (words in said[0]) if words else said == ()


def test_probabilities_in_evaluation_mode_alone_become_logits():
    network = Ends(nn.Softmax(1), in_training=False).eval()
    logits = as_classifier(network, K, x)
    torch.testing.assert_close(logits(x).softmax(1), network(x))
    plain = explicit_moments(lambda net, images: net.last(images.flatten(1)), network, x, K)
    np.testing.assert_allclose(three(measure_moments(network, x, y, num_classes=K)), plain, rtol=2e-4)
    assert "in evaluation mode the network gives probabilities" in remarks(logits, x)[0]
    torch.testing.assert_close(logits.train()(x), network.last(x.flatten(1)))


def test_plain_networks_go_through_as_they_are():
    for name in zoo.NETWORKS:
        network = zoo.build(name, (1, 8, 8), K, seed=0)
        assert as_classifier(network, K, torch.zeros(2, 1, 8, 8)) is network
    assert as_classifier(Words(), K, tokens).takes == torch.int64
    for pixels in (x, x.numpy(), (255 * x.sigmoid()).byte()):
        network = nn.Sequential(nn.Flatten(), nn.Linear(24, K))
        assert as_classifier(network, K, pixels) is network
        assert as_images(network, pixels).dtype == torch.float32


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint8, np.float32])
def test_tokens_reach_the_embedding_as_whole_numbers(kind):
    network = Words()
    given = tokens.numpy().astype(kind)
    logits = as_classifier(network, K, given)
    torch.testing.assert_close(logits(as_images(logits, given)), network(tokens))
    found = measure_moments(network, given, y, num_classes=K).estimate
    assert found == measure_moments(network, tokens, y, num_classes=K).estimate


def test_bytes_that_a_network_scales_itself_stay_bytes():
    class Scaling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(24, K)

        def forward(self, images):
            return self.last((images / 255 if images.dtype == torch.uint8 else images).flatten(1))

    network, pixels = Scaling(), (255 * x.sigmoid()).byte()
    logits = as_classifier(network, K, pixels)
    torch.testing.assert_close(logits(as_images(logits, pixels.numpy())), network(pixels))


def test_weights_and_state_are_the_networks_own():
    network = made("tuple")
    logits = as_classifier(network, K, x)
    assert isinstance(logits, Classifier)
    assert as_classifier(logits, K, x) is logits
    assert list(logits.parameters()) == list(network.parameters())
    assert logits.state_dict().keys() == network.state_dict().keys()
    logits.load_state_dict({name: w + 1 for name, w in network.state_dict().items()})
    assert not logits.train(False).undressed.training


def test_lazy_layers_get_their_sizes():
    network = nn.Sequential(nn.LazyConv1d(3, 2), nn.LazyBatchNorm1d(), nn.Flatten(), nn.LazyLinear(K))
    assert as_classifier(network, K, x) is network
    assert network[3].weight.shape == (K, 9)
    assert network[1].training
    assert network[1].num_batches_tracked == 0
    lazy = nn.Sequential(nn.Flatten(), nn.LazyLinear(K))
    measured = measure_moments(lazy, x, y, num_classes=K)
    np.testing.assert_allclose(three(measured), explicit_moments(plain_logits, lazy, x, K), rtol=2e-4)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (gru(lambda z, h: {"scores": z}), "first in a tuple, or as `logits` of an object or mapping, got dict"),
        (gru(lambda z, h: z.sum()), "got one number for all examples"),
        (gru(classes=4), r"return 3 logits per example, got shape \(9, 4\)"),
        (gru(lambda z, h: (None, z)), "got tuple"),
        (Words(), r"take examples of shape \(6, 4\); it refused"),
    ],
)
def test_what_is_no_classifier_is_said(network, words):
    with pytest.raises(InputError, match=words) as error:
        measure_moments(network, x, y, num_classes=K)
    assert "\n" not in str(error.value)


def test_one_image_at_a_time_gives_the_gradients_of_all_at_once():
    class AtOnce(nn.Module):
        def __init__(self, branch: bool) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.last, self.unused, self.branch = nn.Linear(24, K), nn.Linear(2, 2), branch

        def forward(self, images):
            if self.branch and images.sum() > 0:
                return self.last(images.flatten(1))
            return self.last(images.flatten(1))

    found = [
        image_gradients(net, trainable_weights(net), x, lambda z, v: v * z.softmax(0), torch.ones(9, 2, K))
        for net in map(AtOnce, (False, True))
    ]
    assert found[0].keys() == found[1].keys()
    for name, g in found[0].items():
        torch.testing.assert_close(g, found[1][name])
    assert found[1]["unused.weight"].abs().max() == 0


def test_a_network_that_refuses_single_images_is_said_so():
    class Pairs(Branching):
        def forward(self, images):
            assert len(images) > 1, "pairs, please"
            return super().forward(images)

    net = Pairs()
    with pytest.raises(InputError, match="network raised AssertionError: pairs, please: check"):
        image_gradients(net, trainable_weights(net), x, lambda _, v: v, torch.ones(9, 1, K))


# --- trying a network out leaves nothing behind ---


class Busy(nn.Module):
    """Draws from three generators, counts its calls, and moves a buffer in place and another anew."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.norm, self.calls = nn.Linear(4, K), nn.BatchNorm1d(4), 0
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, images):
        self.calls += 1
        self.mean = images.mean((0, 1))
        noise = float(torch.rand(())) + random.random() + np.random.rand()  # noqa: NPY002
        return self.last(F.dropout(self.norm(images.mean(1)), 0.5, self.training)) + noise


def test_what_a_call_changes_is_as_it_was():
    network = Busy()
    network.norm.eval()
    other = torch.tensor(1.0, requires_grad=True)
    graph = (network.norm(x.mean(1)) * other).sum()  # its backward needs the running statistics as they are
    before = [network.calls, network.mean, network.norm.running_mean, network.norm.training]
    values = {name: value.clone() for name, value in network.state_dict().items()}
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    with untouched(network, training=True):
        network(x)
        assert network.norm.num_batches_tracked == 1
    graph.backward()
    after = [network.calls, network.mean, network.norm.running_mean, network.norm.training]
    assert all(now is then for now, then in zip(after, before, strict=True))
    assert network.training
    assert all(torch.equal(value, values[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert (np.random.get_state()[1] == states[2]).all()  # noqa: NPY002


def test_logits_of_a_classifier_come_in_chunks():
    logits = as_classifier(made("object"), K, x)
    torch.testing.assert_close(logits_of(logits, x, K, 4), logits(x).detach())


def test_what_runs_a_network_is_looked_into_and_what_is_none_is_refused():
    network = zoo.build("perceptron", x.shape[1:], K, seed=0)
    compiled = nn.Module()
    compiled._orig_mod = network  # as torch.compile wraps it
    for wrapped in (nn.DataParallel(network), compiled, nn.DataParallel(compiled)):
        assert as_classifier(wrapped, K, x) is network
    with pytest.raises(InputError, match=r"a network needs to be an nn.Module, got str: build it first"):
        measure_moments("mlp1", x, y, num_classes=K)
