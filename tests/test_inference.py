import numpy as np
import pytest
import torch

from datasets.test_dataset import ImageFolder
from model.inference import FOLDING_TOLERANCE, Describer, fold_batch_norm
from model.network import GeoLocalizationNet
from model.normalization import normalize
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from retrieval.identity import identify
from tests.photos import save_photo
from tests.tiny import place_image

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


def network(backbone="ResNet18", seed=0):
    """With batch norm statistics that are not those of a new network."""
    torch.manual_seed(seed)
    result = GeoLocalizationNet(backbone, 16)
    for module in result.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return result


def batch_norms(module):
    return sum(isinstance(part, torch.nn.BatchNorm2d) for part in module.modules())


@pytest.mark.parametrize(
    "backbone, remaining",
    [("ResNet18", 0), ("ResNet50", 0), ("MobileNet_V2", 0), ("EfficientNet_B0", 0), ("VGG16", 0), ("ConvNeXt_Tiny", 0)],
)
def test_every_batch_norm_is_folded_and_descriptors_stay(backbone, remaining):
    plain = network(backbone).train()
    folded = fold_batch_norm(plain)
    images = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(folded(images), plain.eval()(images), rtol=0, atol=FOLDING_TOLERANCE)
    assert batch_norms(folded) == remaining and not folded.training


def test_batch_norms_over_all_ranks_are_folded_too():
    plain = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network())
    folded = fold_batch_norm(plain)
    images = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(folded(images), plain.eval()(images), rtol=0, atol=FOLDING_TOLERANCE)
    assert not any(isinstance(module, torch.nn.SyncBatchNorm) for module in folded.modules())


def test_folding_that_changes_descriptors_is_not_done(monkeypatch):
    plain = network()
    monkeypatch.setattr("model.inference.FOLDING_TOLERANCE", 1e-12)
    assert batch_norms(fold_batch_norm(plain)) == batch_norms(plain) == 20


def test_a_describer_leaves_the_network_as_it_is_and_any_batch_gives_the_same():
    plain = network().train()
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    images = torch.randint(0, 256, (5, 3, 64, 80), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    describe = Describer(plain, "cpu")
    together, alone = describe(images), torch.cat([describe(image[None]) for image in images])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)
    with torch.inference_mode():
        torch.testing.assert_close(together, plain.eval()(normalize(images)), rtol=0, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in plain.state_dict().items())


def test_a_large_batch_goes_in_parts_on_a_cpu(monkeypatch):
    seen = []
    describe = Describer(network(), "cpu")
    describe.network.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    monkeypatch.setattr("model.inference._CACHED_PIXELS", 3 * 64 * 64 // torch.get_num_threads())
    assert describe(torch.zeros(7, 3, 64, 64, dtype=torch.uint8)).shape == (7, 16)
    assert sum(seen) == 7 and max(seen) <= 3


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=CUDA)])
def test_a_batch_that_is_waited_for_later_gives_the_same(device):
    batches = torch.randint(0, 256, (6, 4, 3, 64, 80), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    describe = Describer(network().to(device), device)
    begun = [describe.start(describe.stack(list(batch))) for batch in batches]
    for wait, batch in zip(begun, batches, strict=True):
        torch.testing.assert_close(wait(), describe(batch), rtol=0, atol=0 if device == "cpu" else 1e-6)


def test_the_next_batch_is_begun_before_one_is_waited_for(tmp_path, monkeypatch):
    """So a GPU computes while images are read. The rows are those of their images, also of the last batch."""
    for number in range(5):
        save_photo(str(tmp_path / f"{number}.jpg"), image=place_image(number, 0, 0))
    images, plain, events, start = ImageFolder(str(tmp_path)), network(), [], Describer.start
    expected = torch.cat([Describer(plain, "cpu")(image[None]) for _, image, _ in images])

    def watched(describe, batch):
        number, wait = sum("begun" in event for event in events), start(describe, batch)
        events.append(f"begun {number}")
        return lambda: events.append(f"waited for {number}") or wait()

    monkeypatch.setattr(Describer, "start", watched)
    found, _ = extract_descriptors(plain, images, ExtractionOptions(batch_size=2))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert events == ["begun 0", "begun 1", "waited for 0", "begun 2", "waited for 1", "waited for 2"]


def test_16_bits_stay_near_float32():
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    full, half = (Describer(network(), "cpu", dtype)(images) for dtype in (torch.float32, torch.bfloat16))
    assert half.dtype == torch.float32 and 0 < (full - half).abs().max() < 0.05


def test_a_compiled_copy_describes_as_the_network_does(monkeypatch, tmp_path):
    """With the eager backend, which needs no C++ compiler. Its descriptors and others are kept apart."""
    monkeypatch.setattr(torch, "compile", torch._dynamo.optimize("eager"))
    images = torch.randint(0, 256, (3, 3, 64, 80), generator=torch.Generator().manual_seed(2), dtype=torch.uint8)
    plain = network()
    describe = Describer(plain, "cpu", compile=True)
    assert isinstance(describe.network, torch._dynamo.OptimizedModule) and describe.network.fc_output_dim == 16
    torch.testing.assert_close(describe(images), Describer(plain, "cpu")(images), rtol=0, atol=1e-6)

    save_photo(str(tmp_path / "a.jpg"))
    identities = [identify(plain, ImageFolder(str(tmp_path)), ExtractionOptions(compile=c)) for c in (True, False)]
    assert identities[0] != identities[1] and "compiled" not in identities[1]["settings"]
