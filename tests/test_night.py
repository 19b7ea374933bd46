"""The mathematics of the night: FDA, post-processing, noise, and both as an augmentation.

tests/golden/night_fork_images.npz holds what AMLSquad/CosPlace's own code gives for the inputs that are drawn here.
"""

import pathlib

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torchvision.transforms import functional

from augmentations import AUGMENTATION_TYPES, ColorJitter, RandomResizedCrop, TrainAugmentation, color_augmentation
from benchmarks.night import plain_fda, plain_post_process
from datasets.night import fda, fourier, post_process
from datasets.night.augmentation import NightAugmentation, NightRows, make_night
from datasets.night.maker import NightMaker
from datasets.night.noise import gaussian_noise, sample_keys
from datasets.night.post_processing import MASK_OPACITY, NOISE_DEVIATION, PostProcessing, _change_colors, _light, _mask
from datasets.night.target_images import TargetImages
from datasets.schedule import Share
from support.errors import UserError

FORK = np.load(pathlib.Path(__file__).parent / "golden" / "night_fork_images.npz")


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


@pytest.mark.parametrize(
    ("beta", "window", "most"),
    [(-0.01, "paper", 0.5), (0.51, "paper", 0.5), (float("nan"), "paper", 0.5), (1.01, "fork", 1)],
)
def test_fda_refuses_other_windows(beta, window, most):
    with pytest.raises(UserError, match=f"--fda_beta is .*, and must be from 0 to {most}$"):
        fda(photos(), photos(), beta, window)


def test_fda_of_the_fork_equals_its_own(caplog):
    for (height, width), seed in (((64, 96), 31), ((96, 64), 32)):
        random = np.random.RandomState(seed)
        ranges = ((0.3, 0.8), (0, 0.6))
        source, target = (random.uniform(*limits, (2, 3, height, width)).astype(np.float32) for limits in ranges)
        for key in [key for key in FORK if key.startswith(f"fda/{height}x{width}/") and not key.endswith("mean")]:
            beta = float(key.rpartition("_")[2])
            found = fda(torch.from_numpy(source), torch.from_numpy(target), beta, "fork").numpy()
            np.testing.assert_allclose(found[:, :, ::4, ::4], FORK[key].clip(0, 1), rtol=0, atol=2e-5)
            np.testing.assert_allclose(found.mean((2, 3)), FORK[f"{key}/mean"], rtol=0, atol=2e-5)
            if beta == 0.01:
                np.testing.assert_array_equal(found, source)
                assert "changes nothing of images of 96 x 64 pixels (b = 0): give --fda_beta at least 0.0625" in (
                    caplog.text
                )


def test_window_of_the_fork_has_its_limits():
    assert len(FORK["fda/limits"]) == 30
    for beta, height, width, b, first_row, last_row, _, last_column, count in FORK["fda/limits"]:
        n = fourier.reach(beta, int(height), int(width), "fork")
        rows, columns = fourier.amplitudes(torch.rand(1, 1, int(height), int(width)), n).shape[-2:]
        assert n == b - 1 == last_column and rows * columns == count
        assert b == 0 or (-n, n) == (first_row, last_row)


def test_least_beta_that_is_advised_replaces_a_frequency(caplog):
    for window, height, width in (("paper", 60, 66), ("fork", 60, 66), ("fork", 96, 64), ("fork", 51, 37)):
        caplog.clear()
        fourier.reach(0.0001, height, width, window)
        advised = float(caplog.text.strip().rpartition(" ")[2])
        assert fourier.reach(advised, height, width, window) == 1
        assert fourier.reach(advised - 1e-3, height, width, window) < 1


def test_fda_of_the_fork_at_its_own_size_equals_its_files(tmp_path):
    random = np.random.RandomState(33)
    day, dark = (random.randint(*limits, (32, 48, 3)).astype(np.uint8) for limits in ((60, 200), (0, 150)))
    Image.fromarray(dark).save(tmp_path / "dark.png")
    targets = TargetImages(str(tmp_path))
    found = NightMaker("fda", 0.01, targets, window="fork", size=(1024, 512))("x", day).astype(int)
    difference = np.abs(found - FORK["fda/apply"])
    assert difference.max() <= 1 and (difference > 0).mean() < 2e-3  # float32 rounds otherwise, before 8 bits are cut
    for other in (
        NightMaker("fda", 0.01, targets, size=(1024, 512)),
        NightMaker("fda", 0.12, targets, window="fork"),
    ):
        assert np.abs(other("x", day) - FORK["fda/apply"]).max() > 3


def test_fda_at_a_size_of_its_own_leaves_an_image_with_itself_as_target(tmp_path):
    day = (photos(1, 64, 64)[0] * 255).to(torch.uint8).movedim(0, -1).numpy()
    Image.fromarray(day).save(tmp_path / "day.png")
    maker = NightMaker("fda", 0.05, TargetImages(str(tmp_path)), window="fork", size=(64, 64))
    np.testing.assert_array_equal(maker("x", day), day)


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


@pytest.mark.parametrize("strength", ["strong", "mild"])
@pytest.mark.parametrize("size", [(64, 64), (96, 128), (120, 70)])
def test_post_processing_equals_its_steps_at_full_size(size, strength):
    processing, images = PostProcessing(strength), photos(4, *size)
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


def test_post_processing_has_the_colours_and_the_light_of_the_fork():
    """Its 8 bits lose up to 1.1 of 255 a step. Its blur repeats the edges of the image, and this one mirrors them."""
    image = np.random.RandomState(71).randint(0, 256, (24, 32, 3)).astype(np.uint8)
    day = torch.from_numpy(image).movedim(-1, 0)[None] / 255
    factors = (0.75, 0.85, 1.18, 1.15)
    for step, name in enumerate(("brightness", "saturation", "blue", "contrast"), 1):
        given = [torch.tensor([factor]) for factor in (*factors[:step], *[1.0] * (4 - step))]
        found = 255 * _change_colors(day, *given)[0].movedim(0, -1).numpy()
        np.testing.assert_allclose(found, FORK[f"pp/after_{name}"], rtol=0, atol=1.1 * step)
    circles = torch.from_numpy(FORK["pp/circles"]).float()[None] / 512
    mask = 255 * MASK_OPACITY * _mask(circles, 512, 512)[0].numpy()
    inner = np.s_[6:-6, 6:-6]  # from 96 pixels inwards
    np.testing.assert_allclose(mask[::16, ::16][inner], FORK["pp/mask_blurred"][inner], rtol=0, atol=9)
    sky = 1 - _light(circles, 512, 512)[0, 0].numpy() / (1 - mask / 255)
    np.testing.assert_allclose(255 * sky[:, 0], FORK["pp/gradient_alpha/512"], rtol=0, atol=1.5)


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
    ("strength", "ranges"),
    [
        ("strong", [(0.7, 0.8), (0.8, 0.9), (1.15, 1.2), (1.1, 1.2)]),
        ("mild", [(0.8, 0.9), (0.9, 0.95), (1.05, 1.15), (1.05, 1.1)]),
    ],
)
def test_parameters_cover_their_ranges(strength, ranges):
    parameters = PostProcessing(strength).sample_parameters(4000, generator())
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
    assert not torch.allclose(first, post_process(images, generator(5), strength="mild"))
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
    assert torch.equal(found, post_process(colored, generator(1), strength="mild"))
    assert torch.equal(make_night(day, "pp", None, generator(1)), post_process(day, generator(1)))


def test_the_strength_of_the_post_processing_can_be_named(tmp_path):
    day, image = photos(2), (photos(1)[0] * 255).to(torch.uint8).movedim(0, -1).numpy()
    for strength in ("mild", "strong"):
        expected = post_process(day, generator(1), strength=strength)
        assert torch.equal(make_night(day, "pp", None, generator(1), strength=strength), expected)
        found = make_night(day, "fda_pp", lambda images: images, generator(1), strength=strength)
        assert torch.equal(found, expected)
        augment = NightAugmentation("pp", 0.5, 0.1, strength=strength)
        assert torch.equal(augment(day, NightRows(torch.tensor([0, 1]), None), 1), expected)
    mild, strong = (NightMaker("pp", strength=strength)("x", image).astype(int) for strength in ("mild", "strong"))
    assert strong.mean() < 0.95 * mild.mean()


def test_the_window_of_an_augmentation_is_the_one_that_is_named():
    images, targets = (photos(2) * 255).to(torch.uint8), (photos(2, seed=8) * 100).to(torch.uint8)
    for window in ("paper", "fork"):
        night = NightAugmentation("fda", 0.5, 0.1, window=window)(images, NightRows(torch.arange(2), targets), 1)
        torch.testing.assert_close(night, fda(images / 255, targets / 255, 0.1, window))


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
            color_augmentation(name, 0.7, 0.7, 0.7, 0.5, fixed=True)(images, generator()), result, rtol=0, atol=1e-5
        )
    assert torch.equal(color_augmentation("none", 0.7, 0.7, 0.7, 0.5)(images, generator()), images)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("brightness", ["brightness"]),
        ("contrast", ["contrast"]),
        ("saturation", ["saturation"]),
        ("bcs", ["brightness", "saturation", "contrast"]),
    ],
)
def test_random_factors_are_those_of_a_batch_in_half_of_its_images(name, steps):
    """The fork's: torchvision's operations, one factor a batch, each image with probability 0.5."""
    augment, images = color_augmentation(name, 0.7, 0.7, 0.7, 0.5), photos(40, 12, 10)
    chosen, drawn = [], []
    for seed in range(60):
        parameters = augment.sample_parameters(40, generator(seed))
        found, expected = augment(images, generator(seed)), images.clone()
        factors = dict(zip(("brightness", "contrast", "saturation"), parameters.factors[0].tolist(), strict=True))
        assert (parameters.factors == parameters.factors[0]).all()
        for row in parameters.chosen.nonzero():
            for step in steps:
                expected[row] = getattr(functional, f"adjust_{step}")(expected[row], factors[step])
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
        assert torch.equal(found[~parameters.chosen], images[~parameters.chosen])
        chosen.append(parameters.chosen.float().mean().item())
        drawn.append(list(factors.values()))
    assert np.mean(chosen) == pytest.approx(0.5, abs=5 * 0.5 / 2400**0.5) and len(set(chosen)) > 5
    middle, offset = np.array([0.65, 1.15, 0.85]), np.array([0.5, 0.05, 0.05])
    shifts = (np.array(drawn) - middle) / offset
    assert np.abs(shifts).max() <= 1 + 1e-5 and (shifts.min(0) < -0.8).all() and (shifts.max(0) > 0.8).all()
    assert np.abs(np.corrcoef(shifts.T)[np.triu_indices(3, 1)]).max() < 0.5


def test_random_factors_of_a_share_are_those_of_the_whole_batch():
    images = (photos(6) * 255).to(torch.uint8)
    augment = TrainAugmentation(color_augmentation("bcs", 0.7, 0.7, 0.7, 0.5), RandomResizedCrop(32))
    whole = augment(images, 3)
    assert torch.equal(augment(images[2:4], 3, Share(6, slice(2, 4))), whole[2:4])
    assert torch.equal(augment(images, 3), whole) and not torch.equal(augment(images, 4), whole)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_night_is_the_same_on_a_gpu():
    images, targets = photos(4), photos(4, 60, 50, seed=6)
    torch.testing.assert_close(
        post_process(images.cuda(), generator()).cpu(), post_process(images, generator()), rtol=0, atol=1e-4
    )
    torch.testing.assert_close(
        fda(images.cuda(), targets.cuda(), 0.1).cpu(), fda(images, targets, 0.1), rtol=0, atol=1e-4
    )
