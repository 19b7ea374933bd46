"""A head shared out among ranks against the whole head, and domain terms against those of one process."""

import pytest
import torch

import distributed
from model.choices import FORK_HEADS
from model.domain_adaptation import make_domain_module
from model.heads import HEADS
from tests.ranks import all_ranks
from training.sharded_head import ShardedHead

B, DIM, CLASSES = 7, 8, 11
VARIANTS = [*((loss, {}) for loss in HEADS), *((loss, {"fork": True}) for loss in FORK_HEADS)]


@pytest.fixture(autouse=True)
def _in_workdir(workdir):
    """Ranks leave files."""


def batch(dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(B, DIM, generator=generator, dtype=dtype),
        torch.randint(CLASSES, (B,), generator=generator),
        torch.randn(CLASSES, DIM, generator=generator, dtype=dtype),
    )


def make(loss, weight, label_smoothing=0.0, **options):
    head = HEADS[loss](DIM, len(weight), **options).to(weight.dtype)
    head.weight.data.copy_(weight)
    head.label_smoothing = label_smoothing
    return head


def sharded_losses(label_smoothing):
    """Of each variant: (loss, gradient of this rank's descriptors, gradient of its classes, its classes' weights)."""
    descriptors, labels, weight = batch()
    found = []
    for loss, options in VARIANTS:
        part, classes = distributed.share(B), distributed.share(CLASSES)
        head, mine = make(loss, weight[classes], label_smoothing, **options), descriptors[part].clone().requires_grad_()
        value = ShardedHead(head, classes, distributed).loss(mine, labels)
        value.backward()
        found.append((value.item(), mine.grad.tolist(), head.weight.grad.tolist(), head.weight.tolist()))
    return found


@pytest.mark.parametrize(("number", "label_smoothing"), [(2, 0.0), (3, 0.0), (3, 0.2)])
def test_a_sharded_head_is_the_whole_head(number, label_smoothing):
    results = all_ranks(number, sharded_losses, label_smoothing)
    for number_of_variant, (loss, options) in enumerate(VARIANTS):
        descriptors, labels, weight = batch()
        head = make(loss, weight, label_smoothing, **options)
        descriptors.requires_grad_()
        expected = head.loss(descriptors, labels)
        expected.backward()
        parts = [result[number_of_variant] for result in results]
        for value, *_ in parts:
            assert value == pytest.approx(expected.item(), rel=1e-12)
        for index, whole in enumerate((descriptors.grad, head.weight.grad, head.weight.detach()), 1):
            found = torch.tensor([row for part in parts for row in part[index]], dtype=torch.float64)
            torch.testing.assert_close(found, whole, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("loss", HEADS)
def test_a_class_that_is_not_here_has_no_margin(loss):
    descriptors, labels, weight = batch()
    head = make(loss, weight)
    without = head(descriptors, torch.full_like(labels, -1))
    columns = torch.arange(CLASSES) != labels.unsqueeze(1)
    torch.testing.assert_close(without[columns], head(descriptors, labels)[columns])
    torch.testing.assert_close(
        without, head.s * torch.nn.functional.normalize(descriptors) @ torch.nn.functional.normalize(weight).T
    )


def domain_terms():
    """{kind: (terms, gradient of this rank's features, that of the module summed over ranks)}; the targets are the last
    rank's alone.
    """
    features = torch.randn(6, 5, 3, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    is_target = torch.arange(6) >= 4
    found = {}
    for kind, options in (("grl", {}), ("aada", {}), ("aada", {"autoencoder": "conv"})):
        module = make_domain_module(kind, 5, 0, **options).double()
        part = distributed.share(6)
        mine = features[part].clone().requires_grad_()
        terms = module.terms(mine, is_target[part], **({"mean": distributed.mean} if distributed.size() > 1 else {}))
        sum(terms.values()).backward()
        gradients = [parameter.grad for parameter in module.parameters()]
        distributed.sum_flat(gradients, "gradients")
        found[kind, *options.values()] = {name: term.item() for name, term in terms.items()}, mine.grad, gradients
    return found


def test_domain_terms_are_those_of_one_process():
    alone, results = domain_terms(), all_ranks(3, domain_terms)
    for kind, (terms, features, gradients) in alone.items():
        for result in results:
            assert result[kind][0] == pytest.approx(terms, rel=1e-12)
            torch.testing.assert_close(result[kind][2], gradients, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(torch.cat([result[kind][1] for result in results]), features, rtol=1e-10, atol=1e-12)
