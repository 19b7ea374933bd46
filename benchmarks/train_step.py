"""Training: our step against the published one, from images in memory or from JPEG files, and the network alone.

From memory both see the same augmented images, and so their losses can be compared step by step. The time includes
each one's own augmentation. From files (--files) workers decode as well: that is a training end to end.
"""

import argparse
import contextlib
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator

import torch

import train
from augmentations import ColorJitter, RandomResizedCrop, TrainAugmentation
from benchmarks import published
from benchmarks.measure import machine, sixteen_bits, table
from benchmarks.pictures import make_pictures
from datasets.bad_images import BadImages
from datasets.groups import Groups, open_groups
from datasets.schedule import Schedule
from datasets.train_dataset import Batch, TrainDataset, make_loader
from model.compilation import compiled
from model.network import GeoLocalizationNet
from training.acceleration import set_tf32
from training.data import TrainingData
from training.objective import Objective
from training.optimizers import MixedPrecision, make_adam
from training.run import Run

# name -> (what the backbone computes in, --tf32, --compile)
OURS = {
    "float32": (torch.float32, False, False),
    "tf32": (torch.float32, True, False),
    "bfloat16": (torch.bfloat16, False, False),
    "float16": (torch.float16, False, False),
    "bfloat16, compiled": (torch.bfloat16, False, True),
    "float16, compiled": (torch.float16, False, True),
}
_CLASSES = 1000


def main(argv: list[str] | None = None) -> None:
    """Measures all modes and prints the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.train_step",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    add("--backbone", default="ResNet18", help="(default: %(default)s)")
    add("--batch_size", type=int, default=16, help="images (default: %(default)s)")
    add("--size", type=int, default=512, help="side of the images and crops, pixels (default: %(default)s)")
    add(
        "--steps",
        type=int,
        default=20,
        help="steps timed; from memory their losses are compared too (default: %(default)s)",
    )
    add(
        "--modes",
        nargs="+",
        choices=OURS,
        help="ours, to be measured (default: float32, and bfloat16 where the device has it)",
    )
    add("--files", action="store_true", help="from JPEG files, with workers")
    add("--pictures", type=int, default=512, help="JPEG files made for --files (default: %(default)s)")
    add("--num_workers", type=int, default=2, help="with --files (default: %(default)s)")
    args = parser.parse_args(argv)
    device = torch.device(args.device)
    args.modes = args.modes or ["float32", *sixteen_bits(device)]
    print(machine())
    print(
        f"{args.backbone}, 512-D, {args.batch_size} images of {args.size} px a step, {_CLASSES} classes, on "
        f"{torch.cuda.get_device_name() if device.type == 'cuda' else 'the CPU'}, "
        f"{'from JPEG files' if args.files else 'from memory'}\n",
        flush=True,
    )
    rows = from_files(args, device) if args.files else from_memory(args, device)
    print(table(rows, list(rows[0]), ratio="ms a step"))


class Ours:
    """Network, head, optimizers and precision as train.py makes them."""

    def __init__(self, args: argparse.Namespace, mode: str, device: torch.device):
        dtype, tf32, compile_it = OURS[mode]
        set_tf32(tf32)
        torch.manual_seed(0)
        network = GeoLocalizationNet(args.backbone, 512).to(device, memory_format=torch.channels_last)
        self.head = published.CosFace(512, _CLASSES).to(device)
        optimizers = make_adam(network, 1e-5, device), make_adam(self.head, 0.01, device)
        trained = compiled(network, device) if compile_it else None
        amp = MixedPrecision(dtype, device)
        self.state = Run(network, optimizers[0], [self.head], [optimizers[1]], amp, trained=trained)
        self.objective = Objective(self.state.trained, self.head)

    def run(self, batches: Iterable) -> float:
        """Trains on the batches of train.prepare_batches. Returns their mean loss."""
        train.train_one_epoch(batches, self.state, {0: self.objective})
        loss = self.state.monitor.sums.means()["loss"]
        self.state.end_epoch()
        return loss


def batch_of(step: int, images: torch.Tensor, labels: torch.Tensor) -> Batch:
    """A batch of augmented images that are on the device."""
    return Batch(step, 0, step, step, images, labels, [])


def from_memory(args: argparse.Namespace, device: torch.device) -> list[dict]:
    """Times steps on images in memory, and compares their losses. Returns the rows."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(args.batch_size, 3, 16, 16, generator=generator)
    images = (
        torch.nn.functional.interpolate(coarse, (args.size, args.size), mode="bicubic")
        .mul(255)
        .clamp(0, 255)
        .to(torch.uint8)
    )
    images = images.to(device, memory_format=torch.channels_last)
    floats = images.float().div(255).contiguous()
    labels = torch.randint(0, _CLASSES, (args.batch_size,), generator=generator).to(device)
    augment = TrainAugmentation(ColorJitter(0.7, 0.7, 0.7, 0.5), RandomResizedCrop(args.size, scale=(0.5, 1)))
    published_augment, reference = (
        published.Augmentation(args.size),
        published.Trainer(args.backbone, 512, _CLASSES, device),
    )

    def published_step(step: int):
        published_augment(floats)
        return reference.step(augmented[step].contiguous(), labels)

    augmented = [augment(images, step) for step in range(args.steps)]
    set_tf32(False)  # of the published too: losses are compared
    rows, reference_losses = [], None
    for name in ["published, float32", *args.modes]:
        ours = None if name.startswith("published") else Ours(args, name, device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        losses, times = [], []
        for step in range(args.steps):
            synchronize(device)
            start = time.perf_counter()
            losses.append(ours.run([batch_of(step, augment(images, step), labels)]) if ours else published_step(step))
            synchronize(device)
            times.append(time.perf_counter() - start)
        reference_losses = reference_losses or losses
        off = max(abs(loss - wanted) / wanted for loss, wanted in zip(losses, reference_losses, strict=True))
        median = sorted(times)[len(times) // 2]
        rows.append(
            {
                "training": name,
                "ms a step": 1000 * median,
                "images/s": args.batch_size / median,
                "loss, first to last": f"{losses[0]:.4f} to {losses[-1]:.4f}",
                "largest relative difference": f"{off:.1e}",
                **gpu_memory(device),
            }
        )
    return rows


def from_files(args: argparse.Namespace, device: torch.device) -> list[dict]:
    """Times steps on JPEG files decoded by workers. Returns the rows."""
    with tempfile.TemporaryDirectory() as folder:
        folder_of_images = os.path.join(folder, "train")
        paths = make_pictures(folder_of_images, args.pictures, args.size)
        groups = open_groups(folder_of_images, 10, 30, 1, 1, 1, cache_folder=os.path.join(folder, "cache"))
        rows = [{"training": "published, float32", **end_to_end_published(args, device, paths, False)}]
        if device.type == "cuda":
            rows.append({"training": "published, --use_amp16", **end_to_end_published(args, device, paths, True)})
        for mode in args.modes:
            alone = network_alone(args, mode, device)
            row = end_to_end_ours(args, mode, device, folder_of_images, groups)
            rows.append({"training": mode, **row, "of the network alone": f"{100 * row['images/s'] / alone:.0f}%"})
    columns = dict.fromkeys(column for row in rows for column in row)
    return [{column: row.get(column, "") for column in columns} for row in rows]


def end_to_end_published(args: argparse.Namespace, device: torch.device, paths: list[str], amp: bool) -> dict:
    """Times the published training from files.

    args: the arguments
    device: where it computes
    paths: of the images
    amp: whether with mixed precision
    """
    set_tf32(False)
    torch.backends.cudnn.allow_tf32 = True  # PyTorch's default, and so the published way's
    trainer, augment = (
        published.Trainer(args.backbone, 512, _CLASSES, device, amp=amp),
        published.Augmentation(args.size),
    )
    passes = 1 + (args.steps + _WARM_UP) * args.batch_size // len(paths)
    loader = torch.utils.data.DataLoader(
        published.ImageDataset(paths * passes),
        args.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=args.num_workers,
        pin_memory=device.type == "cuda",
    )

    def step(batch: tuple):
        trainer.step(augment(batch[0].to(device)), batch[1].to(device) % _CLASSES)

    return timed(args, device, iter(loader), step)


def end_to_end_ours(args: argparse.Namespace, mode: str, device: torch.device, folder: str, groups: Groups) -> dict:
    """Times our training from files.

    args: the arguments
    mode: one of OURS
    device: where it computes
    folder: of the images
    groups: theirs
    """
    ours = Ours(args, mode, device)
    schedule = Schedule([groups.num_classes(0)], args.batch_size, args.steps + _WARM_UP, 1, 0)
    dataset = TrainDataset(folder, groups, schedule)
    augment = TrainAugmentation(ColorJitter(0.7, 0.7, 0.7, 0.5), RandomResizedCrop(args.size, scale=(0.5, 1)))
    loader = make_loader(dataset, 0, args.num_workers, device.type == "cuda")
    ours.state.bad_images = BadImages(folder)
    batches = train.prepare_batches(loader, TrainingData(groups, schedule, dataset, augment), ours.state, device)
    row = timed(args, device, None, lambda steps: ours.run(itertools.islice(batches, steps)))
    batches.close()
    return row


def network_alone(args: argparse.Namespace, mode: str, device: torch.device) -> float:
    """Returns images a second of the same steps on one augmented batch that is on the device."""
    ours = Ours(args, mode, device)
    images = torch.rand(args.batch_size, 3, args.size, args.size, device=device).contiguous(
        memory_format=torch.channels_last
    )
    labels = torch.arange(args.batch_size, device=device) % _CLASSES
    return timed(args, device, None, lambda steps: ours.run(batch_of(step, images, labels) for step in range(steps)))[
        "images/s"
    ]


_WARM_UP = 5


def timed(args: argparse.Namespace, device: torch.device, batches: Iterator | None, step: Callable) -> dict:
    """Runs warm-up steps and then args.steps timed ones. Returns the columns of a row.

    args: the arguments
    device: where it computes
    batches: what `step` is called with; None if `step` takes a number of steps
    step: trains
    """

    def run(steps: int) -> float:
        if batches is None:
            step(steps)
        else:
            for batch in itertools.islice(batches, steps):
                step(batch)
        synchronize(device)

    run(_WARM_UP)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with busy_share(device) as busy:
        start = time.perf_counter()
        run(args.steps)
        seconds = time.perf_counter() - start
    return {
        "ms a step": 1000 * seconds / args.steps,
        "images/s": args.steps * args.batch_size / seconds,
        **busy,
        **gpu_memory(device),
    }


@contextlib.contextmanager
def busy_share(device: torch.device) -> Iterator[dict[str, str]]:
    """Yields a dict that gets the share of time in which the GPU computed, as the driver samples it."""
    result = {}
    if device.type != "cuda":
        yield result
        return
    import threading

    samples, stop = [], threading.Event()

    def sample():
        while not stop.wait(0.1):
            with contextlib.suppress(Exception):  # needs the driver's library: pip install nvidia-ml-py
                samples.append(torch.cuda.utilization())

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    yield result
    stop.set()
    thread.join()
    result["GPU busy"] = f"{sum(samples) / len(samples):.0f}%" if samples else "not measured (pip install nvidia-ml-py)"


def gpu_memory(device: torch.device) -> dict[str, float]:
    """Returns the column of GPU memory; nothing on a CPU."""
    return {"GPU memory, GB": torch.cuda.max_memory_allocated() / 1e9} if device.type == "cuda" else {}


def synchronize(device: torch.device) -> None:
    """Waits for the GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
