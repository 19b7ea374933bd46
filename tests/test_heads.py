import math

import pytest
import torch
import torch.nn.functional as F

from model.choices import FORK_HEADS, LOSSES, head_options
from model.heads import EMMS, HEADS, ArcFace, CosFace, SphereFace
from support.errors import UserError

ANGLES = torch.tensor([0.0, 40.0, 75.0, 180.0], dtype=torch.float64) * math.pi / 180  # of class weights
DESCRIPTOR_ANGLES = torch.tensor([10.0, 100.0, 359.0], dtype=torch.float64) * math.pi / 180
LABELS = torch.tensor([0, 3, 1])
FORK = {"fork": True}


def on_circle(angles, length):
    return torch.stack([torch.cos(angles), torch.sin(angles)], dim=1) * length


def hand_made(dtype=torch.float64, head=CosFace, **options):
    head = head(2, len(ANGLES), **options).to(dtype)
    head.weight.data = on_circle(ANGLES, 3.7).to(dtype)  # lengths do not matter: the head normalises
    return head, on_circle(DESCRIPTOR_ANGLES, 0.2).to(dtype)


def psi(angle, m):
    """SphereFace's, piece by piece: the cosine of m theta, each half turn 2 below the one before."""
    k = 0
    while m * angle >= (k + 1) * math.pi:
        k += 1
    return (-1) ** k * math.cos(m * angle) - 2 * k


# of the right class: what the angle's cosine becomes
MARGINS = {
    CosFace: lambda angle, m: math.cos(angle) - m,
    ArcFace: lambda angle, m: math.cos(angle + m) if angle <= math.pi - m else math.cos(angle) - m * math.sin(m),
    SphereFace: psi,
    EMMS: lambda angle, m: math.cos(angle) - m,
}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize(
    ("head", "s", "m"),
    [
        (CosFace, 30.0, 0.40),
        (CosFace, 64.0, 0.0),
        (CosFace, 1.0, 0.9),
        (EMMS, 30.0, 0.40),
        (ArcFace, 64.0, 0.5),
        (ArcFace, 1.0, 1.5),
        (SphereFace, 30.0, 1.5),
        (SphereFace, 1.0, 1.0),
        (SphereFace, 5.0, 4.0),
    ],
)
def test_logits_on_known_angles(dtype, tolerance, head, s, m):
    margin = MARGINS[head]
    head, descriptors = hand_made(dtype, head, s=s, m=m)
    logits = head(descriptors, LABELS)
    assert logits.dtype == dtype
    for row, angle in enumerate(DESCRIPTOR_ANGLES.tolist()):
        for column, class_angle in enumerate(ANGLES.tolist()):
            between = math.acos(math.cos(angle - class_angle))  # in [0, pi]
            expected = s * (margin(between, m) if column == LABELS[row] else math.cos(between))
            assert logits[row, column].item() == pytest.approx(expected, abs=s * tolerance)


def test_defaults_are_the_published_ones():
    settings = {name: head(2, 3).settings() for name, head in HEADS.items()}
    assert settings == {
        "cosface": {"loss": "cosface", "s": 30.0, "m": 0.40},
        "arcface": {"loss": "arcface", "s": 64.0, "m": 0.5, "variant": "paper"},
        "sphereface": {"loss": "sphereface", "s": 30.0, "m": 1.5, "variant": "paper"},
        "emms": {"loss": "emms", "s": 30.0, "m": 0.40, "l": 1.0},
    }


def mean_cross_entropy(logits):
    return (
        sum(
            math.log(sum(math.exp(v) for v in row)) - row[label]
            for row, label in zip(logits.tolist(), LABELS, strict=True)
        )
        / 3
    )


@pytest.mark.parametrize("head", HEADS.values())
def test_label_smoothing_is_torchs(head):
    head, descriptors = hand_made(head=head)
    head.label_smoothing = 0.3
    expected = F.cross_entropy(head(descriptors, LABELS), LABELS, label_smoothing=0.3)
    if isinstance(head, EMMS):
        expected = expected + head.l * F.cross_entropy(descriptors @ head.weight.T, LABELS, label_smoothing=0.3)
    assert head.loss(descriptors, LABELS).item() == pytest.approx(expected.item(), rel=1e-12)
    smoothed = head.loss(descriptors, LABELS).item()
    head.label_smoothing = 0.0
    assert head.loss(descriptors, LABELS).item() != pytest.approx(smoothed, rel=1e-3)


@pytest.mark.parametrize("head", [CosFace, ArcFace, SphereFace])
def test_loss_is_the_mean_cross_entropy(head):
    head, descriptors = hand_made(head=head)
    assert head.loss(descriptors, LABELS).item() == pytest.approx(
        mean_cross_entropy(head(descriptors, LABELS)), rel=1e-12
    )


@pytest.mark.parametrize("weight", [0.0, 1.0, 2.0])
def test_emms_adds_the_plain_softmax(weight):
    head, descriptors = hand_made(head=EMMS, l=weight)
    plain = torch.tensor(
        [
            [0.2 * 3.7 * math.cos(angle - class_angle) for class_angle in ANGLES.tolist()]
            for angle in DESCRIPTOR_ANGLES.tolist()
        ]
    )
    expected = mean_cross_entropy(head(descriptors, LABELS)) + weight * mean_cross_entropy(plain)
    assert head.loss(descriptors, LABELS).item() == pytest.approx(expected, rel=1e-6)
    descriptors.requires_grad_()
    head.loss(descriptors, LABELS).backward()
    radial = (descriptors * descriptors.grad).sum(1).abs().max()
    assert (radial > 1e-3) == (weight > 0)  # the plain logits alone grow with the descriptor's length


@pytest.mark.parametrize("head", [CosFace, ArcFace])  # the gradient of SphereFace is another's
def test_gradient_is_that_of_the_formula_and_orthogonal_to_descriptors_and_weights(head):
    head, descriptors = hand_made(head=head)
    descriptors.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x, w: torch.func.functional_call(head, {"weight": w}, (x, LABELS)), (descriptors, head.weight)
    )
    head.loss(descriptors, LABELS).backward()
    for value in (descriptors, head.weight):
        assert value.grad.norm() > 1e-3
        torch.testing.assert_close(
            (value * value.grad).sum(1), torch.zeros(len(value), dtype=torch.float64), rtol=0, atol=1e-12
        )


def test_gradient_of_emms_is_that_of_its_loss():
    head, descriptors = hand_made(head=EMMS, l=1.5)
    head.loss(descriptors, LABELS).backward()
    step, found = 1e-6, head.weight.grad[0, 1].item()
    losses = []
    for sign in (1, -1):
        head.weight.data[0, 1] += sign * step
        losses.append(head.loss(descriptors, LABELS).item())
        head.weight.data[0, 1] -= sign * step
    assert found == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-5)


def test_spherefaces_gradient_is_that_of_the_plain_cosine():
    """Characteristic gradient detachment: the logits' derivatives are those without a margin, their values are not."""
    head, descriptors = hand_made(head=SphereFace)
    plain, _ = hand_made(head=CosFace, m=0.0)
    upstream = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    gradients = []
    for module in (head, plain):
        x = descriptors.clone().requires_grad_()
        logits = module(x, LABELS)
        gradients.append(torch.autograd.grad((upstream * logits).sum(), (x, module.weight)))
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    assert not torch.allclose(head(descriptors, LABELS), plain(descriptors, LABELS))


@pytest.mark.parametrize(("head", "m"), [(ArcFace, 0.5), (ArcFace, math.pi / 2), (SphereFace, 1.5), (SphereFace, 4.0)])
def test_the_right_logit_falls_with_the_angle_throughout(head, m):
    angles = torch.linspace(0.01, math.pi - 0.01, 1000, dtype=torch.float64)
    head = head(2, 2, s=1.0, m=m).double()
    head.weight.data = on_circle(torch.zeros(2, dtype=torch.float64), 1.0)
    logits = head(on_circle(angles, 1.0), torch.zeros(1000, dtype=torch.int64))[:, 0]
    assert (logits.diff() < 0).all() and (logits <= torch.cos(angles)).all()


def test_arcface_beyond_pi_minus_m_has_the_cosines_gradient():
    head = ArcFace(2, 1, s=1.0, m=0.5).double()
    head.weight.data = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    for angle, expected in (
        (2.0, -math.sin(2.5)),
        (math.pi - 0.51, -math.sin(math.pi - 0.01)),
        (math.pi - 0.4, -math.sin(math.pi - 0.4)),
    ):
        angle = torch.tensor([angle], dtype=torch.float64, requires_grad=True)
        head(on_circle(angle, 1.0), torch.tensor([0])).sum().backward()
        assert angle.grad.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("head", HEADS.values())
def test_descriptors_on_and_opposite_their_class_have_finite_gradients(head):
    head = head(2, 2)
    head.weight.data = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    descriptors = torch.tensor([[1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    head.loss(descriptors, torch.tensor([0, 1])).backward()
    assert torch.isfinite(descriptors.grad).all() and torch.isfinite(head.weight.grad).all()


@pytest.mark.parametrize(
    ("head", "options"), [*((head, {}) for head in HEADS.values()), *((HEADS[name], FORK) for name in FORK_HEADS)]
)
def test_float32_under_mixed_precision(head, options):
    head, descriptors = hand_made(torch.float32, head, **options)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, loss = head(descriptors.bfloat16(), LABELS), head.loss(descriptors.bfloat16(), LABELS)
    assert logits.dtype == loss.dtype == torch.float32
    torch.testing.assert_close(logits, head(descriptors.bfloat16().float(), LABELS))
    torch.testing.assert_close(loss, head.loss(descriptors.bfloat16().float(), LABELS))


def test_gradient_scaling_leaves_float16_gradients_as_they_are():
    """Large scales reach the head's gradient unharmed, since all is float32 there."""
    head, descriptors = hand_made(torch.float32, ArcFace)
    gradients = []
    for scale in (1.0, 65536.0):
        half = descriptors.half().requires_grad_()
        (grad,) = torch.autograd.grad(head.loss(half.float(), LABELS) * scale, head.weight)
        gradients.append(grad / scale)
    torch.testing.assert_close(*gradients)


def test_initial_weights_are_xavier_uniform():
    torch.manual_seed(0)
    weight = CosFace(64, 1000).weight
    bound = math.sqrt(6 / (64 + 1000))
    assert weight.shape == (1000, 64) and weight.abs().max() <= bound and weight.abs().max() > 0.99 * bound
    assert weight.var().item() == pytest.approx(bound**2 / 3, rel=0.05)


def test_cosface_is_unchanged_by_what_the_heads_share():
    """Bit for bit the published formula in float32."""
    torch.manual_seed(0)
    head, descriptors, labels = CosFace(16, 50), torch.randn(8, 16), torch.randint(0, 50, (8,))
    cosine = F.linear(F.normalize(descriptors), F.normalize(head.weight))
    assert torch.equal(head(descriptors, labels), 30.0 * (cosine - 0.40 * F.one_hot(labels, 50).to(cosine.dtype)))


def test_options_of_flags():
    assert head_options("arcface") == {} and head_options("emms", 10.0, 0.2, 1.5) == {"s": 10.0, "m": 0.2, "l": 1.5}
    for loss, m in (("cosface", 1.5), ("arcface", 2.0), ("sphereface", 0.4), ("emms", 1.01)):
        with pytest.raises(UserError, match=f"--loss_m {m:g} is out of the range of --loss {loss}"):
            head_options(loss, m=m)
    with pytest.raises(UserError, match="--emms_l belongs to --loss emms"):
        head_options("arcface", l=1.0)
    for loss in (*LOSSES, None):
        if loss in FORK_HEADS:
            assert head_options(loss, 20.0, variant="fork") == {"s": 20.0, "fork": True}
            assert HEADS[loss](2, 3, fork=True).settings()["variant"] == "fork"
        else:
            with pytest.raises(UserError, match="--head_variant fork is for --loss arcface and sphereface"):
                head_options(loss, variant="fork")


@pytest.mark.parametrize("loss", FORK_HEADS)
def test_weights_of_a_fork_s_head_begin_as_xavier_normal_and_stay_on_the_sphere(loss):
    torch.manual_seed(0)
    head = HEADS[loss](64, 1000, fork=True)
    assert head.weight.std().item() == pytest.approx(math.sqrt(2 / (64 + 1000)), rel=0.02)
    assert head.weight.abs().max() > math.sqrt(6 / (64 + 1000))  # beyond the bound of Xavier uniform
    optimizer = torch.optim.Adam(head.parameters(), lr=0.5)
    for _ in range(3):
        head.loss(torch.randn(4, 64), torch.tensor([0, 1, 2, 3])).backward()
        torch.testing.assert_close(head.weight.norm(dim=1), torch.ones(1000))
        optimizer.step()
    assert (head.weight.norm(dim=1) > 1.1).any()
