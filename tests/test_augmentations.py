import pytest
import torch
import torchvision.transforms.functional as reference

from augmentations import (
    ColorJitter,
    PerspectiveParameters,
    RandomPerspective,
    RandomResizedCrop,
    TrainAugmentation,
)
from datasets.schedule import Share

REFERENCE = [reference.adjust_brightness, reference.adjust_contrast, reference.adjust_saturation, reference.adjust_hue]


def photos(batch=12, height=48, width=40):
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(batch, 3, height, width, generator=generator)
    images[0] = 0.5  # gray: its hue is undefined
    images[1, :, ::2] = 0
    images[2, 0], images[2, 1:] = 1, 0
    return images


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("ranges", [(0.7, 0.7, 0.7, 0.5), (0, 0, 0, 0.5), (0.3, 0, 0.9, 0.1), (0, 0, 0, 0)])
def test_jitter_equals_torchvision_image_by_image(ranges):
    jitter, images = ColorJitter(*ranges), photos()
    parameters = jitter.sample_parameters(len(images), generator())
    jittered = jitter.apply(images.clone(), parameters)
    for image, result, order, factors in zip(images, jittered, *parameters, strict=True):
        for operation in order.tolist():
            if ranges[operation]:
                image = REFERENCE[operation](image, factors[operation].item())
        torch.testing.assert_close(result, image, rtol=0, atol=1e-5)
    assert torch.equal(jitter(images, generator()), jittered)


def test_jitter_parameters_cover_their_ranges_and_all_orders():
    parameters = ColorJitter(0.7, 0.5, 1.5, 0.4).sample_parameters(20_000, generator())
    for column, (low, high) in enumerate([(0.3, 1.7), (0.5, 1.5), (0, 2.5), (-0.4, 0.4)]):
        values = parameters.factors[:, column]
        assert low <= values.min() < low + 0.01 * (high - low) and high - 0.01 * (high - low) < values.max() <= high
        assert values.mean().item() == pytest.approx((low + high) / 2, abs=0.02 * (high - low))
    orders, counts = parameters.order.unique(dim=0, return_counts=True)
    assert len(orders) == 24 and counts.min() > 0.8 * 20_000 / 24


@pytest.mark.parametrize("size", [(48, 40), (96, 80), (20, 70), (17, 13)])
def test_crop_equals_torchvision_image_by_image(size):
    crop, images = RandomResizedCrop(size, scale=(0.3, 1)), photos()
    parameters = crop.sample_parameters(len(images), generator())
    cropped = crop.apply(images, parameters)
    for image, result, (top, left, height, width) in zip(images, cropped, crop.boxes(parameters, 48, 40), strict=True):
        expected = reference.resized_crop(image, top, left, height, width, list(size), antialias=True)
        torch.testing.assert_close(result, expected, rtol=0, atol=2 / 255)


def test_crop_boxes_follow_scale_ratio_and_image():
    crop = RandomResizedCrop(32, scale=(0.5, 1))
    boxes = torch.tensor(crop.boxes(crop.sample_parameters(5000, generator()), 512, 512), dtype=torch.float64)
    top, left, height, width = boxes.T
    assert (top >= 0).all() and (left >= 0).all() and (top + height <= 512).all() and (left + width <= 512).all()
    share = height * width / 512**2
    assert share.min() > 0.49 and share.max() <= 1 and share.max() > 0.95 and share.min() < 0.52
    assert (width / height).min() > 0.74 and (width / height).max() < 1.35
    free = 512 - height
    assert (top[free > 50] / free[free > 50]).mean().item() == pytest.approx(0.5, abs=0.02)


def test_crop_of_an_image_that_no_try_fits_is_central():
    crop = RandomResizedCrop(32, scale=(0.9, 1))
    assert crop.boxes(crop.sample_parameters(1, generator()), 10, 400) == [(0, 193, 10, 13)]


@pytest.mark.parametrize("distortion", [0.1, 0.3, 0.6])
def test_perspective_equals_torchvision_image_by_image(distortion):
    perspective, images = RandomPerspective(distortion), photos()
    parameters = perspective.sample_parameters(len(images), generator())
    start, ends = perspective.corners(parameters, 48, 40)
    assert len({str(end) for end in ends.tolist()}) > 6  # each image has its own
    for image, result, end in zip(images, perspective.apply(images, parameters), ends, strict=True):
        # without fill: torchvision's fill=0 is black too, but darkens the edge twice
        expected = reference.perspective(image, start.int().tolist(), end.int().tolist())
        torch.testing.assert_close(result, expected, rtol=0, atol=1 / 255)
        assert not torch.allclose(result, image, atol=0.1)


def test_perspective_corners_are_uniform_in_torchvisions_ranges():
    perspective = RandomPerspective(0.3)
    _, ends = perspective.corners(perspective.sample_parameters(20_000, generator()), 48, 41)  # 20 // 2 * 0.3: 6
    x, y = ends.unbind(-1)
    for column, values in [(0, range(7)), (1, range(34, 41)), (2, range(34, 41)), (3, range(7))]:
        found, counts = x[:, column].unique(return_counts=True)
        assert found.tolist() == list(values) and counts.min() > 0.9 * 20_000 / 7
    assert y.amin(dim=0).tolist() == [0, 0, 40, 40] and y.amax(dim=0).tolist() == [7, 7, 47, 47]


@pytest.mark.parametrize("inwards", [[(0, 0), (18, 14), (9, 19), (0, 0)], [(0, 0), (0, 19), (19, 19), (0, 0)]])
def test_perspective_of_corners_on_a_line_or_folded_over_stays_finite(inwards):
    perspective = RandomPerspective(0.999)
    parameters = PerspectiveParameters((torch.tensor([inwards], dtype=torch.float64) + 0.5) / 20)
    result = perspective.apply(photos(3, 40, 40)[2:], parameters)
    assert result.isfinite().all() and result.min() >= 0 and result.max() <= 1


def test_perspective_comes_before_the_crop_and_leaves_the_other_draws_as_they_are():
    jitter, crop, images = ColorJitter(0.7, 0.7, 0.7, 0.5), RandomResizedCrop(32), (photos() * 255).to(torch.uint8)
    without = TrainAugmentation(jitter, crop)(images, 5)
    unmoved = TrainAugmentation(jitter, crop, RandomPerspective(0))(images, 5)
    torch.testing.assert_close(unmoved, without, rtol=0, atol=1e-2)
    augment = TrainAugmentation(jitter, crop, RandomPerspective(0.5))
    whole = augment(images, 5)
    assert not torch.allclose(whole, without, atol=0.5)
    halves = [augment(images[rows], 5, Share(12, rows)) for rows in (slice(0, 6), slice(6, 12))]
    assert torch.equal(torch.cat(halves), whole)


def test_whole_augmentation_is_a_function_of_the_seed():
    augment = TrainAugmentation(ColorJitter(0.7, 0.7, 0.7, 0.5), RandomResizedCrop(32))
    images = (photos() * 255).to(torch.uint8)
    first, again, other = (
        augment(images, 5),
        augment(images.to(memory_format=torch.channels_last), 5),
        augment(images, 6),
    )
    assert torch.equal(first, again) and not torch.allclose(first, other)
    assert first.shape == (12, 3, 32, 32) and first.min() < -1 and first.max() > 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_augmentation_is_the_same_on_a_gpu():
    augment = TrainAugmentation(ColorJitter(0.7, 0.7, 0.7, 0.5), RandomResizedCrop(32), RandomPerspective(0.3))
    images = (photos() * 255).to(torch.uint8)
    torch.testing.assert_close(augment(images.cuda(), 5).cpu(), augment(images, 5), rtol=0, atol=1e-3)
