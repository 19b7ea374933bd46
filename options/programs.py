"""The scripts that have options: names, descriptions, two examples each, and the folders that they need."""

from typing import NamedTuple


class Program(NamedTuple):
    """A script: how it is called, what --help says of it, and which of train, val and test it needs."""

    command: str
    description: str
    examples: tuple[str, str]
    needed: tuple[str, ...] = ()


PROGRAMS = {
    "train": Program(
        "train.py",
        "Trains CosPlace, or by choice EigenPlaces.",
        (
            "train.py --dataset_folder path/to/sf-xl/processed --backbone ResNet50 --fc_output_dim 512",
            "train.py @recipes/demo.txt --save_dir mine --resume_train auto",
        ),
        ("train", "val", "test"),
    ),
    "eval": Program(
        "eval.py",
        "Computes the recalls of a network on a test set.",
        (
            "eval.py --dataset_folder path/to/sf-xl/processed --resume_model ResNet50_512",
            "eval.py --test_set_folders path/to/pitts30k path/to/msls --resume_model best_model.pth",
        ),
        ("test",),
    ),
    "localize": Program(
        "localize.py",
        "Says where photos were taken: position, error radius, confidence and the most similar database images. Exit "
        "code 1: a photo could not be localized, the others are.",
        (
            "localize.py --resume_model best_model.pth --database_folder data/demo/city1/test/database photo.jpg",
            "localize.py --resume_model best_model.pth --calibrate data/demo/city1/val",
        ),
    ),
    "soup": Program(
        "soup.py",
        "Averages networks of one architecture into one (a model soup), by choice only those that raise R@1 on the "
        "validation set.",
        (
            "soup.py --ingredients a/best_model.pth b/best_model.pth --output soup.pth",
            "soup.py --ingredients a.pth b.pth c.pth --method greedy --dataset_folder data/city --output soup.pth",
        ),
    ),
    "check": Program(
        "-m datasets.check",
        "Looks over a data set (train, val, test), a test set (database, queries) or one folder of images: names, UTM "
        "zones, headings, sizes, unreadable and double images, positives, overlap, and the groups of the given "
        "parameters, or the parameters that would give usable ones; with --method eigenplaces also how panoramas see "
        "the points that they are cut towards. Exit code 1 if training or evaluation would fail.",
        (
            "-m datasets.check path/to/sf-xl/processed",
            "-m datasets.check data/real_photos @recipes/real_photos.txt",
        ),
    ),
    "describe": Program(
        "-m retrieval",
        "Writes the descriptors of all photos of a folder, and their names. An interrupted command goes on where it "
        "stopped. Exit code 1: a photo could not be read, its row is zero.",
        (
            "-m retrieval photos --output photos.npy --resume_model ResNet50_512",
            "-m retrieval photos --output photos.npy --resume_model best_model.pth --resize_test_imgs --image_size 480",
        ),
    ),
}


def title(script: str) -> str:
    """What messages call a script: train.py, python -m datasets.check."""
    command = PROGRAMS[script].command
    return f"python {command}" if command.startswith("-") else command
