"""Networks of linear layers side by side against their members one by one: outputs, gradients, steps of plain SGD."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from effbatch.core.errors import InputError
from effbatch.engine.dense import DenseNetwork

CPU = torch.device("cpu")
S, M, K, B = 2, 3, 4, 5


def network(seed: int, widths: tuple[int, ...], activation: type[nn.Module]) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs, outputs in zip((18, *widths), (*widths, K), strict=True):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


@pytest.fixture(params=[(), (7,), (7, 6, 5)], ids=lambda widths: f"hidden={len(widths)}")
def widths(request) -> tuple[int, ...]:
    return request.param


@pytest.fixture(params=[nn.ReLU, nn.Tanh])
def nets(request, widths) -> list[nn.Sequential]:
    return [network(seed, widths, request.param) for seed in range(S)]


@pytest.fixture
def together(nets) -> DenseNetwork:
    """Members that differ: each starts as the network of its seed and is then moved."""
    made = DenseNetwork(nets, M, CPU)
    for w in made.parameters:
        w += 0.1 * torch.randn(w.shape)
    return made


@pytest.mark.parametrize("groups", [1, S], ids=["shared by all", "by seed"])
def test_outputs_and_gradients_are_those_of_the_members(together, groups):
    images, slope = torch.randn(B, groups, 2, 3, 3), torch.randn(S, M, K, B)
    logits = together(images)
    gradients = together.gradients(logits, slope)
    for s in range(S):
        for m in range(M):
            member = together.member(s, m)
            own = member(images[:, s * groups // S])
            torch.testing.assert_close(logits[s, m].T, own)
            torch.testing.assert_close(together(images, training=False)[s, m].T, own)
            expected = torch.autograd.grad(own, list(member.parameters()), slope[s, m].T)
            for g, e in zip(gradients, expected, strict=True):
                torch.testing.assert_close(g[s, m], e, rtol=1e-4, atol=1e-5)


def test_descending_is_a_step_along_the_gradient(together):
    images, slope, rate = torch.randn(B, S, 2, 3, 3), torch.randn(S, M, K, B), torch.rand(S, M)
    gradients = together.gradients(together(images), slope)
    expected = [
        w - rate.view(S, M, *[1] * (w.ndim - 2)) * g for w, g in zip(together.parameters, gradients, strict=True)
    ]
    together.descend(images, 1, lambda step, logits: slope * -rate[..., None, None])
    for w, e in zip(together.parameters, expected, strict=True):
        torch.testing.assert_close(w, e, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("groups", [1, S], ids=["shared by all", "by seed"])
def test_several_steps_at_once_are_the_steps_one_by_one(together, groups):
    steps = 4
    images, slope = torch.randn(steps * B, groups, 2, 3, 3), 0.2 * torch.randn(steps, S, M, K, B)
    before, seen = [w.clone() for w in together.parameters], []

    def at_once(step, logits):
        seen.append(logits.clone())
        return slope[step] * logits.tanh()

    together.descend(images, steps, at_once)
    after = [w.clone() for w in together.parameters]
    for w, was in zip(together.parameters, before, strict=True):
        w.copy_(was)
    for step, own in enumerate(images.split(B)):
        torch.testing.assert_close(together(own), seen[step], rtol=1e-4, atol=1e-5)
        together.descend(own, 1, lambda _, logits, step=step: slope[step] * logits.tanh())
    for w, expected, was in zip(together.parameters, after, before, strict=True):
        torch.testing.assert_close(w, expected, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(w, was, rtol=1e-2)


def test_steps_of_another_batch_size_and_evaluations_leave_nothing_behind(together):
    images, slope = torch.randn(B, S, 2, 3, 3), torch.randn(S, M, K, B)
    first = [g.clone() for g in together.gradients(together(images), slope)]
    together.gradients(together(torch.randn(2 * B, S, 2, 3, 3)), torch.randn(S, M, K, 2 * B))
    logits = together(images)
    together(torch.randn(B, S, 2, 3, 3), training=False)
    for g, e in zip(together.gradients(logits, slope), first, strict=True):
        assert torch.equal(g, e)


def test_members_never_touch_each_other(together):
    images, slope = torch.randn(B, 1, 2, 3, 3), torch.randn(S, M, K, B)
    together.parameters[0][0, 1] = torch.nan
    assert together(images)[0, 1].isnan().all()
    together.descend(images, 1, lambda step, logits: slope.where(logits.isfinite(), torch.nan))
    others = torch.ones(S, M, dtype=torch.bool)
    others[0, 1] = False
    assert together(images)[others].isfinite().all()


def test_a_frozen_member_forgets_gradients_that_were_not_finite(together):
    images, slope = torch.randn(B, 1, 2, 3, 3), torch.randn(S, M, K, B)
    together.gradients(together(images), torch.full_like(slope, torch.nan))
    assert all(g.isfinite().all() for g in together.gradients(together(images), slope))


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Linear(18, 4)],
        [nn.Flatten()],
        [nn.Flatten(), nn.Linear(18, 4), nn.ReLU()],
        [nn.Flatten(), nn.Linear(18, 4), nn.Linear(4, 4)],
        [nn.Flatten(), nn.Linear(18, 4, bias=False)],
        [nn.Flatten(), nn.Linear(18, 4), nn.GELU(), nn.Linear(4, 4)],
        [nn.Flatten(), nn.Conv2d(2, 4, 3)],
    ],
    ids=lambda layers: "-".join(type(layer).__name__ for layer in layers),
)
def test_other_networks_are_refused(layers):
    with pytest.raises(InputError, match="other layers than those of a dense network"):
        DenseNetwork([nn.Sequential(*layers)], 2, CPU)


def test_layers_that_share_weights_are_refused():
    layer = nn.Linear(18, 18)
    with pytest.raises(InputError, match="other layers than"):
        DenseNetwork([nn.Sequential(nn.Flatten(), layer, nn.ReLU(), layer)], 2, CPU)
