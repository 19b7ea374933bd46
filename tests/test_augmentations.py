import pytest
import torch
import torchvision.transforms.functional as reference

from augmentations import ColorJitter, RandomResizedCrop, TrainAugmentation

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
    augment = TrainAugmentation(ColorJitter(0.7, 0.7, 0.7, 0.5), RandomResizedCrop(32))
    images = (photos() * 255).to(torch.uint8)
    torch.testing.assert_close(augment(images.cuda(), 5).cpu(), augment(images, 5), rtol=0, atol=1e-3)
