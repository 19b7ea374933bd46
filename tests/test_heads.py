import math

import pytest
import torch

from model.heads import CosFace

ANGLES = torch.tensor([0.0, 40.0, 75.0, 180.0], dtype=torch.float64) * math.pi / 180  # of class weights
DESCRIPTOR_ANGLES = torch.tensor([10.0, 100.0, 359.0], dtype=torch.float64) * math.pi / 180
LABELS = torch.tensor([0, 3, 1])


def on_circle(angles, length):
    return torch.stack([torch.cos(angles), torch.sin(angles)], dim=1) * length


def hand_made(dtype=torch.float64, **options):
    head = CosFace(2, len(ANGLES), **options).to(dtype)
    head.weight.data = on_circle(ANGLES, 3.7).to(dtype)  # lengths do not matter: the head normalises
    return head, on_circle(DESCRIPTOR_ANGLES, 0.2).to(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize(("s", "m"), [(30.0, 0.40), (64.0, 0.0), (1.0, 0.9)])
def test_logits_on_known_angles(dtype, tolerance, s, m):
    head, descriptors = hand_made(dtype, s=s, m=m)
    logits = head(descriptors, LABELS)
    for row, angle in enumerate(DESCRIPTOR_ANGLES.tolist()):
        for column, class_angle in enumerate(ANGLES.tolist()):
            expected = s * (math.cos(angle - class_angle) - (m if column == LABELS[row] else 0))
            assert logits[row, column].item() == pytest.approx(expected, abs=s * tolerance)


def test_loss_is_the_mean_cross_entropy():
    head, descriptors = hand_made()
    logits = head(descriptors, LABELS)
    expected = sum(math.log(sum(math.exp(v) for v in row)) - row[label] for row, label in zip(logits.tolist(), LABELS, strict=True)) / 3
    assert head.loss(descriptors, LABELS).item() == pytest.approx(expected, rel=1e-12)


def test_gradient_is_that_of_the_formula_and_orthogonal_to_descriptors_and_weights():
    head, descriptors = hand_made()
    descriptors.requires_grad_()
    assert torch.autograd.gradcheck(lambda x, w: torch.func.functional_call(head, {"weight": w}, (x, LABELS)), (descriptors, head.weight))
    head.loss(descriptors, LABELS).backward()
    for value in (descriptors, head.weight):
        assert value.grad.norm() > 1e-3
        torch.testing.assert_close((value * value.grad).sum(1), torch.zeros(len(value), dtype=torch.float64), rtol=0, atol=1e-12)


def test_float32_under_mixed_precision():
    head, descriptors = hand_made(torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = head(descriptors.bfloat16().float(), LABELS)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, head(descriptors.bfloat16().float(), LABELS))


def test_initial_weights_are_xavier_uniform():
    torch.manual_seed(0)
    weight = CosFace(64, 1000).weight
    bound = math.sqrt(6 / (64 + 1000))
    assert weight.shape == (1000, 64) and weight.abs().max() <= bound and weight.abs().max() > 0.99 * bound
    assert weight.var().item() == pytest.approx(bound**2 / 3, rel=0.05)
