"""Night sets: `python -m datasets.night` against the same steps with Pillow and numpy, one image at a time.

Decoding and encoding are included. The plain way is what such scripts do: Pillow's enhancers, ellipses drawn and
blurred at full size, and whole FFTs of source and target.
"""

import argparse
import io
import os
import sys
import tempfile
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from benchmarks.measure import interleaved, machine, table
from datasets.choices import NIGHT_METHODS
from datasets.names import format_name
from datasets.night.build import Settings, build


def plain_fda(source: Image.Image, target: Image.Image, beta: float) -> Image.Image:
    """Applies FDA to PIL images by whole 2-D FFTs (Yang and Soatto, FDA, 2020); the target gets the source's size."""
    target = target.resize(source.size, Image.Resampling.BILINEAR)
    source_spectrum, target_spectrum = (
        np.fft.fftshift(np.fft.fft2(np.asarray(image) / 255.0, axes=(0, 1)), axes=(0, 1)) for image in (source, target)
    )
    height, width = source_spectrum.shape[:2]
    b = int(np.floor(beta * min(height, width)))
    rows, columns = (slice(size // 2 - b, size // 2 + b + 1) for size in (height, width))
    amplitude, phase = np.abs(source_spectrum), np.angle(source_spectrum)
    amplitude[rows, columns] = np.abs(target_spectrum)[rows, columns]
    image = np.fft.ifft2(np.fft.ifftshift(amplitude * np.exp(1j * phase), axes=(0, 1)), axes=(0, 1)).real
    return Image.fromarray((image.clip(0, 1) * 255).round().astype(np.uint8))


def plain_post_process(
    image: Image.Image, factors: Sequence[float], circles: np.ndarray, noise: np.ndarray
) -> Image.Image:
    """Post-processes a PIL image to night.

    image: by day, RGB
    factors: of brightness, saturation, blue and contrast
    circles: the lit places, float (n, 3): x, y and radius, pixels
    noise: float (H, W, 3), of deviation 5 gray levels
    """
    brightness, saturation, blue, contrast = factors
    image = ImageEnhance.Color(ImageEnhance.Brightness(image).enhance(brightness)).enhance(saturation)
    channels = image.split()
    image = Image.merge("RGB", (*channels[:2], channels[2].point(lambda level: min(255, round(level * blue)))))
    image = ImageEnhance.Contrast(image).enhance(contrast)
    black = Image.new("RGB", image.size)
    sky = np.linspace(255 / 1.2, 0, image.height).round().astype(np.uint8)
    image = Image.composite(black, image, Image.fromarray(np.repeat(sky[:, None], image.width, axis=1)))
    mask = Image.new("L", image.size, 100)
    draw = ImageDraw.Draw(mask)
    for x, y, radius in circles:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)
    mask = mask.filter(ImageFilter.GaussianBlur(80 / 512 * image.height))
    image = Image.composite(black, image, mask)
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).round().astype(np.uint8))


def plain_night(folder: str, names: list[str], targets: list[str], output: str, method: str, beta: float) -> None:
    """Makes a folder's images night, one at a time.

    folder: of the images
    names: theirs
    targets: paths of night images, for FDA
    output: the folder that is written
    method: "fda", "pp" or "fda_pp"
    beta: size of FDA's window, a share of the shorter side
    """
    os.makedirs(output)
    rng = np.random.default_rng(0)
    low, high = (
        ([0.7, 0.8, 1.15, 1.1], [0.8, 0.9, 1.2, 1.2])
        if method == "pp"
        else ([0.8, 0.9, 1.05, 1.05], [0.9, 0.95, 1.15, 1.1])
    )
    for name in names:
        image = Image.open(os.path.join(folder, name)).convert("RGB")
        if method != "pp":
            image = plain_fda(image, Image.open(targets[rng.integers(len(targets))]).convert("RGB"), beta)
        if method != "fda":
            width, height = image.size
            circles = rng.uniform([0, height / 4, height / 5], [width, height, height / 3], (8, 3))
            image = plain_post_process(image, rng.uniform(low, high), circles, rng.normal(0, 5, (height, width, 3)))
        image.save(os.path.join(output, name), quality=95)


def make_photos(folder: str, count: int, pixels: int, seed: int) -> list[str]:
    """Writes pictures with detail of all sizes, as photos have: about 0.4 bytes a pixel. Returns their names.

    folder: must not exist
    count: number of pictures
    pixels: their side
    seed: of the detail
    """
    os.makedirs(folder)
    rng = np.random.default_rng(seed)
    names = []
    for index in range(count):
        picture = np.zeros((pixels, pixels, 3))
        for octave in range(2, 9):
            noise = Image.fromarray(rng.integers(0, 256, (2**octave, 2**octave, 3), np.uint8))
            picture += (np.asarray(noise.resize((pixels, pixels), Image.Resampling.BICUBIC)) - 127.5) / 1.5**octave
        picture = Image.fromarray((127.5 + picture).clip(0, 255).astype(np.uint8))
        names.append(format_name(551000 + 10 * index, 4181000, heading=0))
        picture.save(os.path.join(folder, names[-1]), quality=95)
    return names


def decode_and_encode(folder: str, names: list[str]) -> None:
    """Decodes and encodes the images, which every way must do."""
    for name in names:
        Image.open(os.path.join(folder, name)).convert("RGB").save(io.BytesIO(), "JPEG", quality=95)


def main(argv: list[str] | None = None) -> None:
    """Times all ways in turn and prints the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.night", description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=60, help="images a run (default: %(default)s)")
    parser.add_argument("--pixels", type=int, default=512, help="side of the images, pixels (default: %(default)s)")
    parser.add_argument("--fda_beta", type=float, default=0.01, help="FDA's window (default: %(default)s)")
    parser.add_argument(
        "--repeats", type=int, default=3, help="interleaved runs of each; the fastest counts (default: %(default)s)"
    )
    parser.add_argument(
        "--num_workers", type=int, default=len(os.sched_getaffinity(0)), help="processes of ours (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    print(machine())
    with tempfile.TemporaryDirectory() as root:
        day, night = os.path.join(root, "day"), os.path.join(root, "night")
        names = make_photos(day, args.images, args.pixels, seed=0)
        targets = [os.path.join(night, name) for name in make_photos(night, 8, args.pixels, seed=1)]
        runs = iter(range(10**9))

        def ours(method: str, workers: int):
            build(Settings(day, os.path.join(root, f"ours{next(runs)}"), method, night, args.fda_beta), workers)

        functions = {"decoding and encoding alone, 1 process": lambda: decode_and_encode(day, names)}
        for method in NIGHT_METHODS:
            functions[f"{method}: plain, one image at a time"] = lambda method=method: plain_night(
                day, names, targets, os.path.join(root, f"plain{next(runs)}"), method, args.fda_beta
            )
            for workers in dict.fromkeys((1, args.num_workers)):
                functions[f"{method}: datasets.night, {workers} processes"] = lambda method=method, workers=workers: (
                    ours(method, workers)
                )
        seconds = interleaved(functions, args.repeats)
    for method in ("decoding", *NIGHT_METHODS):
        rows = [
            {"way": name, "seconds": min(times), "images a second": args.images / min(times)}
            for name, times in seconds.items()
            if name.startswith(method + (" " if method == "decoding" else ":"))
        ]
        print("\n" + table(rows, ["way", "seconds", "images a second"], ratio="seconds"))


if __name__ == "__main__":
    sys.exit(main())
