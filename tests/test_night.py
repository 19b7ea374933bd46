"""The mathematics of the night: FDA, post-processing, noise, and both as an augmentation."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from augmentations import AUGMENTATION_TYPES, ColorJitter, color_augmentation
from benchmarks.night import plain_fda, plain_post_process
from datasets.night import fda, fourier, post_process
from datasets.night.augmentation import NightAugmentation, NightRows, make_night
from datasets.night.noise import gaussian_noise, sample_keys
from datasets.night.post_processing import NOISE_DEVIATION, PostProcessing, _mask
from support.errors import UserError


def photos(batch=3, height=48, width=40, seed=3, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(batch, 3, 6, 5, generator=generator, dtype=dtype)
    fine = torch.rand(batch, 3, height, width, generator=generator, dtype=dtype)
    return (0.8 * torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear") + 0.2 * fine).clamp(0, 1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# --- FDA


def fda_by_whole_transforms(source, target, beta):
    """As published: shifted spectra, a slice of the amplitude replaced, the real part of the inverse."""
    spectra = [np.fft.fftshift(np.fft.fft2(images.double().numpy()), axes=(-2, -1)) for images in (source, target)]
    height, width = source.shape[-2:]
    b = int(np.floor(beta * min(height, width)))
    rows, columns = (slice(max(size // 2 - b, 0), size // 2 + b + 1) for size in (height, width))
    amplitude = np.abs(spectra[0])
    amplitude[..., rows, columns] = np.abs(spectra[1])[..., rows, columns]
    mixed = np.fft.ifftshift(amplitude * np.exp(1j * np.angle(spectra[0])), axes=(-2, -1))
    return np.fft.ifft2(mixed).real.clip(0, 1)


@pytest.mark.parametrize("size", [(48, 40), (64, 64), (51, 97), (40, 33)])
@pytest.mark.parametrize("beta", [0, 0.01, 0.03, 0.09, 0.3, 0.5])
def test_fda_equals_whole_transforms(size, beta):
    source, target = photos(2, *size), photos(2, *size, seed=4) ** 3
    expected = fda_by_whole_transforms(source, target, beta)
    np.testing.assert_allclose(fda(source.double(), target.double(), beta).numpy(), expected, rtol=0, atol=1e-12)
    result = fda(source, target, beta)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result.numpy(), expected, rtol=0, atol=5e-6)


def test_fda_with_b_0_takes_the_mean_colour_alone_and_warns(caplog):
    source, target = photos(1, 60, 66, seed=1) * 0.3 + 0.3, photos(1, 60, 66, seed=2) * 0.2 + 0.35
    result = fda(source, target, 0.0161)  # 0.966 pixels
    torch.testing.assert_close(result.mean((-2, -1)), target.mean((-2, -1)))
    torch.testing.assert_close(
        result - result.mean((-2, -1), keepdim=True), source - source.mean((-2, -1), keepdim=True)
    )
    assert "FDA with beta 0.0161 changes nothing but the mean colour of images of 66 x 60 pixels (b = 0)" in caplog.text
    caplog.clear()
    fda(source, target, 0.0161)
    fda(source, target, 0.0167)  # 1.002 pixels
    assert not caplog.text


def test_fda_of_an_image_with_itself_and_of_a_black_one():
    source = photos()
    torch.testing.assert_close(fda(source, source, 0.3), source, rtol=0, atol=1e-5)
    black = fda(torch.zeros(1, 3, 48, 40), photos(1), 0.1)  # no phase is lost on what has none
    assert torch.isfinite(black).all() and black.mean() > 0.1


def test_fda_resizes_targets_and_broadcasts_one():
    source, target = photos(), photos(1, 100, 70, seed=5)
    resized = fourier.resize(target, (48, 40))
    torch.testing.assert_close(fda(source, target, 0.1), fda(source, resized.expand(3, -1, -1, -1), 0.1))


@pytest.mark.parametrize("beta", [-0.01, 0.51, float("nan")])
def test_fda_refuses_other_windows(beta):
    with pytest.raises(UserError, match=r"--fda_beta is .*, and must be from 0 to 0.5"):
        fda(photos(), photos(), beta)


# --- noise


def test_noise_is_standard_normal_and_white():
    keys = sample_keys(3, generator())
    noise = gaussian_noise(keys, (3, 256, 255)).double()
    assert noise.shape == (3, 3, 256, 255)
    n = noise[0].numel()
    for image in noise:
        assert abs(image.mean()) < 5 / n**0.5 and abs(image.var() - 1) < 5 * (2 / n) ** 0.5
        assert abs((image**3).mean()) < 5 * (15 / n) ** 0.5 and abs((image**4).mean() - 3) < 5 * (96 / n) ** 0.5
        for axis in range(3):  # neighbours, and the channels of a pixel
            assert abs((image * image.roll(1, axis)).mean()) < 5 / n**0.5
    share = (noise[0].abs() < 0.6745).double().mean()
    assert abs(share - 0.5) < 5 * 0.5 / n**0.5
    assert abs((noise[0] * noise[1]).mean()) < 5 / n**0.5
    assert len(noise.flatten().unique()) > 0.99 * noise.numel()


def test_noise_depends_on_the_key_alone():
    keys = sample_keys(4, generator(1))
    together = gaussian_noise(keys, (3, 20, 21))
    for key, noise in zip(keys, together, strict=True):
        torch.testing.assert_close(gaussian_noise(key[None], (3, 20, 21))[0], noise, rtol=0, atol=1e-5)
    alike = torch.tensor([[5, 7], [6, 7], [5, 8]], dtype=torch.int32)  # neighbours in either word
    a, b, c = gaussian_noise(alike, (3, 100, 100)).flatten(1)
    correlations = [
        abs((x[shift:] * y[: len(y) - shift]).mean()) for x, y in ((a, b), (a, c), (b, c)) for shift in range(3)
    ]
    assert max(correlations) < 5 / 30_000**0.5


# --- post-processing


def pp_step_by_step(image, factors, circles, noise):
    """night.md's steps on one (3, H, W) float64 array, at full size. circles: (8, 3) x, y, radius in pixels."""
    brightness, saturation, blue, contrast = factors
    height, width = image.shape[1:]

    def gray(image):
        return 0.2989 * image[0] + 0.587 * image[1] + 0.114 * image[2]

    image = image * brightness
    image = image * saturation + gray(image) * (1 - saturation)
    image[2] *= blue
    image = image.clip(0, 1)
    image = (image * contrast + gray(image).mean() * (1 - contrast)).clip(0, 1)
    image = image * (1 - np.linspace(1 / 1.2, 0, height))[:, None]
    y, x = np.mgrid[:height, :width] + 0.5
    mask = np.ones((height, width))
    for center_x, center_y, radius in circles:
        mask[np.hypot(x - center_x, y - center_y) < radius] = 0
    mask = gaussian_filter(mask, 80 / 512 * height, mode="reflect", truncate=6)
    return (image * (1 - 100 / 255 * mask) + 5 / 255 * noise).clip(0, 1)


@pytest.mark.parametrize("after_fda", [False, True])
@pytest.mark.parametrize("size", [(64, 64), (96, 128), (120, 70)])
def test_post_processing_equals_its_steps_at_full_size(size, after_fda):
    processing, images = PostProcessing(after_fda), photos(4, *size)
    images[0, 2, 5:20] = 1  # blue that overflows after FDA
    untouched, parameters = images.clone(), processing.sample_parameters(4, generator(2))
    results = processing.apply(images, parameters)
    assert (
        torch.equal(images, untouched) and results.dtype == torch.float32 and results.min() >= 0 and results.max() <= 1
    )
    noise = gaussian_noise(parameters.noise, images.shape[1:])
    for row in range(4):
        circles = parameters.circles[row].double().numpy() * [size[1], size[0], size[0]]
        factors = [values[row].item() for values in parameters[:4]]
        expected = pp_step_by_step(images[row].double().numpy(), factors, circles, noise[row].double().numpy())
        np.testing.assert_allclose(results[row].numpy(), expected, rtol=0, atol=1 / 255)


@pytest.mark.parametrize("size", [(512, 512), (300, 500)])
def test_mask_at_low_resolution_is_that_at_full_resolution(size):
    circles = PostProcessing().sample_parameters(2, generator(4)).circles
    masks = _mask(circles, *size)
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    for mask, rows in zip(masks, circles.double().numpy() * [size[1], size[0], size[0]], strict=True):
        full = 1 - np.any([np.hypot(x - row[0], y - row[1]) < row[2] for row in rows], axis=0).astype(np.float64)
        full = gaussian_filter(full, 80 / 512 * size[0], mode="reflect", truncate=6)
        assert full.max() - full.min() > 0.2
        np.testing.assert_allclose(
            mask.numpy(), full, rtol=0, atol=0.003
        )  # of an opacity of 100: a third of a gray level


@pytest.mark.parametrize(
    ("after_fda", "ranges"),
    [
        (False, [(0.7, 0.8), (0.8, 0.9), (1.15, 1.2), (1.1, 1.2)]),
        (True, [(0.8, 0.9), (0.9, 0.95), (1.05, 1.15), (1.05, 1.1)]),
    ],
)
def test_parameters_cover_their_ranges(after_fda, ranges):
    parameters = PostProcessing(after_fda).sample_parameters(4000, generator())
    columns = [*parameters[:4], *parameters.circles.flatten(0, 1).T]
    for values, (low, high) in zip(columns, [*ranges, (0, 1), (1 / 4, 1), (1 / 5, 1 / 3)], strict=True):
        slack = 0.01 * (high - low)
        assert low - 1e-6 <= values.min() < low + slack and high - slack < values.max() <= high + 1e-6
        assert values.mean().item() == pytest.approx((low + high) / 2, abs=3 * slack)
    assert parameters.circles.shape == (4000, 8, 3) and len(parameters.noise.unique(dim=0)) == 4000


def test_post_processing_is_a_function_of_the_seed_and_each_image_has_its_own_draws():
    images = photos(1).expand(3, -1, -1, -1)
    first, again, other = (
        post_process(images, generator(5)),
        post_process(images, generator(5)),
        post_process(images, generator(6)),
    )
    assert torch.equal(first, again) and not torch.allclose(first, other) and not torch.allclose(first[0], first[1])
    assert not torch.allclose(first, post_process(images, generator(5), after_fda=True))
    noise = PostProcessing().sample_parameters(3, generator(5)).noise
    smooth = first - NOISE_DEVIATION * gaussian_noise(noise, images.shape[1:])
    assert first[:, :, :5].mean() < 0.4 * first[:, :, -5:].mean()  # the sky is black
    assert smooth.mean() < 0.6 * images.mean()


def test_the_benchmarks_plain_way_does_the_same_steps():
    """With Pillow's 8 bits after every step to a few gray levels, away from the edges, which Pillow's blur does not
    mirror.
    """
    image = Image.fromarray((photos(1, 128, 120)[0] * 255).byte().movedim(0, -1).numpy())
    day = torch.from_numpy(np.array(image)).movedim(-1, 0)[None] / 255
    processing = PostProcessing()
    parameters = processing.sample_parameters(1, generator(3))
    noise = gaussian_noise(parameters.noise, (3, 128, 120))[0].movedim(0, -1).numpy() * 5
    plain = plain_post_process(
        image, [values.item() for values in parameters[:4]], parameters.circles[0].numpy() * [120, 128, 128], noise
    )
    difference = np.asarray(plain) / 255 - processing.apply(day, parameters)[0].movedim(0, -1).numpy()
    assert np.abs(difference[40:-40, 40:-40]).max() < 4 / 255 and np.abs(difference).mean() < 1.5 / 255
    target = Image.fromarray((photos(1, 128, 120, seed=9)[0] * 90).byte().movedim(0, -1).numpy())
    dark = torch.from_numpy(np.array(target)).movedim(-1, 0)[None] / 255
    found = fda(day, dark, 0.03)[0].movedim(0, -1).numpy()
    np.testing.assert_allclose(np.asarray(plain_fda(image, target, 0.03)) / 255, found, rtol=0, atol=0.6 / 255)


# --- as an augmentation


@pytest.mark.parametrize("method", ["fda", "pp", "fda_pp"])
def test_night_augmentation_changes_its_rows_alone(method):
    images = (photos(5) * 255).to(torch.uint8).to(memory_format=torch.channels_last)
    targets = (photos(2, seed=8) * 100).to(torch.uint8) if method != "pp" else None
    augment = NightAugmentation(method, 0.5, 0.1)
    night = augment(images, NightRows(torch.tensor([1, 4]), targets), 7)
    day = images.float() / 255
    assert night.dtype == torch.float32 and torch.equal(night[[0, 2, 3]], day[[0, 2, 3]])
    expected = make_night(day[[1, 4]], method, lambda images: fda(images, targets.float() / 255, 0.1), generator(7))
    torch.testing.assert_close(night[[1, 4]], expected)
    assert (night[[1, 4]].mean((1, 2, 3)) < day[[1, 4]].mean((1, 2, 3))).all()
    assert torch.equal(augment(images, NightRows(torch.tensor([], dtype=torch.int64), None), 7), day)


def test_fda_pp_is_the_mild_post_processing_of_the_fda_image():
    day, dark = photos(2), photos(2, seed=8) * 0.3
    colored = fda(day, dark, 0.1)
    found = make_night(day, "fda_pp", lambda images: fda(images, dark, 0.1), generator(1))
    assert torch.equal(found, post_process(colored, generator(1), after_fda=True))
    assert torch.equal(make_night(day, "pp", None, generator(1)), post_process(day, generator(1)))


def test_augmentation_types():
    images = photos()
    assert AUGMENTATION_TYPES == ("colorjitter", "none", "brightness", "contrast", "saturation", "bcs")
    jitter = color_augmentation("colorjitter", 0.1, 0.2, 0.3, 0.4)
    assert isinstance(jitter, ColorJitter) and jitter.ranges == ColorJitter(0.1, 0.2, 0.3, 0.4).ranges
    gray = (0.2989 * images[:, 0] + 0.587 * images[:, 1] + 0.114 * images[:, 2])[:, None]
    expected = {
        "none": images,
        "brightness": 0.65 * images,
        "saturation": (0.85 * images + 0.15 * gray),
        "contrast": (1.15 * images - 0.15 * gray.mean((1, 2, 3), keepdim=True)).clamp(0, 1),
    }
    dark = 0.65 * images
    darker = (1.15 * dark - 0.15 * 0.65 * gray.mean((1, 2, 3), keepdim=True)).clamp(0, 1)
    luma = (0.2989 * darker[:, 0] + 0.587 * darker[:, 1] + 0.114 * darker[:, 2])[:, None]
    expected["bcs"] = 0.85 * darker + 0.15 * luma
    for name, result in expected.items():
        torch.testing.assert_close(
            color_augmentation(name, 0.7, 0.7, 0.7, 0.5)(images, generator()), result, rtol=0, atol=1e-5
        )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_night_is_the_same_on_a_gpu():
    images, targets = photos(4), photos(4, 60, 50, seed=6)
    torch.testing.assert_close(
        post_process(images.cuda(), generator()).cpu(), post_process(images, generator()), rtol=0, atol=1e-4
    )
    torch.testing.assert_close(
        fda(images.cuda(), targets.cuda(), 0.1).cpu(), fda(images, targets, 0.1), rtol=0, atol=1e-4
    )
