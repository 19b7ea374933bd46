"""python -m datasets.prepare: makes a data set of own photos."""

import argparse
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from datasets.eigenplaces import EigenPlaces
from datasets.prepare.areas import BUFFER_REASON, FOLDERS, assign_folders
from datasets.prepare.build import REJECTED_FILE, SOURCES_FILE, Built, build
from datasets.prepare.eigen_crops import prepare_crops
from datasets.prepare.exif import read_photos, refuse_swapped
from datasets.prepare.images import METHODS, Writing
from datasets.prepare.panoramas import KINDS, SF_XL_FOV, Crops
from datasets.prepare.positions import describe_extent, parse_zone, place_photos
from datasets.prepare.records import Photo, Rejected, count_reasons
from datasets.prepare.tables import COLUMNS, Table
from support.errors import UserError, ending_in_one_line

_ON_EIGENPLACES = ("M", "N", "focal_dist", "min_images_per_class")  # flags of --panoramas eigenplaces alone
_ON_SHARES = ("buffer", "query_share", "positive_dist_threshold", "seed")  # flags that matter only with a split


def make_parser() -> argparse.ArgumentParser:
    """Builds the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m datasets.prepare",
        allow_abbrev=False,
        description="Makes a data set with @ names of photos with positions: train, "
        "val and test, each with a list of its images. Run again, it goes on where it was interrupted, "
        "and changes nothing that is there. "
        f"OUTPUT/{REJECTED_FILE} says what was left out and why, OUTPUT/{SOURCES_FILE} which photo each image is of; "
        "`python -m datasets.check OUTPUT` looks the result over.",
    )
    group = parser.add_argument_group("photos and their positions (one of the first three)")
    add = group.add_argument
    source = group.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--photos",
        nargs="+",
        metavar="PATH",
        help="photos, or folders of them (searched through), whose EXIF has a GPS "
        "position; GPSImgDirection is the heading, and the time comes along",
    )
    source.add_argument(
        "--csv",
        metavar="FILE",
        help="a table with a header: image paths, latitudes and longitudes (degrees, WGS 84), and "
        "maybe headings (degrees clockwise from north, of the image's centre) and times; any delimiter and encoding",
    )
    source.add_argument(
        "--geojson",
        metavar="FILE",
        help="a FeatureCollection of Points, whose properties have the image's path, and "
        "maybe its heading and time; Mapillary's names are known",
    )
    add(
        "--images_folder", metavar="FOLDER", help="where the table's relative paths begin (default: the table's folder)"
    )
    for field, usual in COLUMNS.items():
        geojson = "" if field in ("latitude", "longitude") else " or property"
        add(
            f"--{field}_column",
            metavar="NAME",
            help=f"column{geojson} of the {field} (default: the first that is there of "
            f"{', '.join(usual)}, in any case, with or without _)",
        )
    add(
        "--utm_zone",
        metavar="ZONE",
        help="the one zone in whose metres all positions are, such as 33U (default: the zone of most photos)",
    )
    add(
        "--heading_offset",
        type=float,
        default=0.0,
        metavar="DEGREES",
        help="added to all headings of photos and panoramas: the magnetic "
        "declination, where they are magnetic; minus half the field of view, "
        "to make them those of the leftmost column, as SF-XL's are "
        "(default: %(default)s)",
    )
    add(
        "--require_heading",
        action="store_true",
        help="leave photos without a heading out (else their field 9 is empty, and training needs --alpha 360 --L 1)",
    )

    add = parser.add_argument_group("images").add_argument
    add("--output", required=True, metavar="FOLDER", help="folder to make; new, empty, or made with the same settings")
    add(
        "--images",
        choices=METHODS,
        default="copy",
        help="copy the photos' files, or link to them symbolically or as hard links (default: %(default)s)",
    )
    add(
        "--resize",
        type=int,
        metavar="N",
        help="shorter side that larger photos are resized to, pixels (default: photos keep their size)",
    )
    add(
        "--square",
        action="store_true",
        help="first cut photos centrally to squares: training brings all images to one size, and would "
        "distort upright photos among others",
    )
    add(
        "--panoramas",
        choices=(*KINDS, EigenPlaces.kind),
        help="cut photos of 2:1, equirectangular panoramas, into square crops: sf_xl, parts of the panorama "
        f"{SF_XL_FOV:.1f} degrees wide and high (and of panoramas of 3328 x 512 too), or perspective views (default: "
        "they stay whole). eigenplaces: from the folder --photos of panoramas of 6.5:1 with @ names, such as SF-XL's "
        "raw/train/panoramas, makes the two crops of each that EigenPlaces trains on, as PNG",
    )
    add(
        "--crop_headings",
        type=float,
        nargs="+",
        default=list(range(0, 360, 30)),
        metavar="DEGREES",
        help="headings of the crops' "
        "leftmost columns, as in field 9 of their names, clockwise from north (default: every 30)",
    )
    add("--crop_size", type=int, default=512, metavar="N", help="side of the crops, pixels (default: %(default)s)")
    add(
        "--crop_fov",
        type=float,
        default=60.0,
        metavar="DEGREES",
        help="field of view of perspective crops (default: %(default)s)",
    )
    add(
        "--crop_pitch",
        type=float,
        default=0.0,
        metavar="DEGREES",
        help="how far perspective crops look up (default: %(default)s)",
    )

    add = parser.add_argument_group("classes of --panoramas eigenplaces, as the training will have them").add_argument
    add("--M", type=int, default=15, metavar="METRES", help="side of a class's cell (default: %(default)s)")
    add("--N", type=int, default=3, metavar="CELLS", help="spacing of a group's classes (default: %(default)s)")
    add(
        "--focal_dist",
        type=float,
        default=10.0,
        metavar="METRES",
        help="from a class's mean position to its focal points (default: %(default)s)",
    )
    add(
        "--min_images_per_class",
        type=int,
        default=5,
        metavar="N",
        help="classes with fewer panoramas are dropped (default: %(default)s)",
    )

    add = parser.add_argument_group("train, val and test").add_argument
    add(
        "--shares",
        type=float,
        nargs=3,
        default=[60, 20, 20],
        metavar=("TRAIN", "VAL", "TEST"),
        help="shares of the photos; 0 leaves a "
        "part out. Parts are strips across the direction in which the photos extend most (default: 60 20 20)",
    )
    add(
        "--buffer",
        type=float,
        default=50.0,
        metavar="METRES",
        help="photos of two parts are at least so far apart: those between are left out (default: %(default)s)",
    )
    add(
        "--query_share",
        type=float,
        default=0.3,
        metavar="SHARE",
        help="share, 0 to 1, of val's and of test's photos that are queries: "
        "those of the latest days, drawn within a day; the others are the database (default: %(default)s)",
    )
    add(
        "--positive_dist_threshold",
        type=float,
        default=25.0,
        metavar="METRES",
        help="every query keeps a database image so near (default: %(default)s)",
    )
    add("--seed", type=int, default=0, help="seed of the queries' draw (default: %(default)s)")
    add("--all_to", metavar="NAME", help="no parts: all images go into OUTPUT/NAME, for example database")
    add(
        "--num_workers",
        type=int,
        default=os.cpu_count() or 1,
        help="processes that share the photos; the data set does not depend on it (default: %(default)s)",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    parser = make_parser()
    args = parser.parse_args(argv)
    with ending_in_one_line("; run the same command again to go on"):
        _check_kind(args, {action.dest: action.default for action in parser._actions})
        _check(args)
        report = prepare_eigenplaces(args) if args.panoramas == EigenPlaces.kind else prepare(args)
    for line in report:
        print(line)


def prepare(args: argparse.Namespace) -> list[str]:
    """Makes the data set; returns the lines of its report. Raises UserError if it cannot."""
    photos, rejected, notes = _read(args)
    photos, doubles = _without_doubles(photos, args.require_heading)
    rejected += doubles
    if not photos:
        raise UserError("no photo can be used: " + "; ".join(count_reasons(rejected)))
    photos, points, zone, misplaced = place_photos(photos, parse_zone(args.utm_zone) if args.utm_zone else None)
    rejected += misplaced
    photos, points, folders, between = _split(args, photos, points)
    rejected += between
    crops = args.panoramas and Crops(
        args.panoramas, args.crop_size, tuple(args.crop_headings), args.crop_fov, args.crop_pitch
    )
    writing = Writing(args.images, args.resize, args.square, crops or None, args.heading_offset)
    settings = (
        {"all_to": args.all_to}
        if args.all_to
        else {"shares": args.shares} | {name: getattr(args, name) for name in _ON_SHARES}
    )
    built = build(photos, points, zone, folders, rejected, args.output, writing, settings, args.num_workers)
    return [*_report(args, photos, zone, built), *notes]


def prepare_eigenplaces(args: argparse.Namespace) -> list[str]:
    """Makes EigenPlaces' crops; returns the lines of the report. Raises UserError if it cannot."""
    method = EigenPlaces(*(getattr(args, name) for name in _ON_EIGENPLACES))
    built = prepare_crops(args.photos[0], args.output, method, args.num_workers)
    return [f"{built.made} crops made, {built.there} were there", *_counts(args, built)]


def _read(args: argparse.Namespace) -> tuple[list[Photo], list[Rejected], list[str]]:
    """Reads the source that was named: (photos, rejected ones, notes)."""
    if args.photos:
        photos, rejected = read_photos(args.photos, args.num_workers)
        if not photos and not rejected:
            raise UserError(f"there is no photo in {' '.join(args.photos)}")
        return photos, rejected, []
    table = Table(
        args.csv or args.geojson, {field: getattr(args, f"{field}_column") for field in COLUMNS}, args.images_folder
    )
    table.read_csv() if args.csv else table.read_geojson()
    refuse_swapped(table.photos)
    return table.photos, table.rejected, table.notes()


def _without_doubles(photos: list[Photo], require_heading: bool) -> tuple[list[Photo], list[Rejected]]:
    """(photos that are used, rejected ones): no file is used twice, and a heading may be required."""
    kept, rejected, seen = [], [], {}
    for photo in photos:
        first = seen.setdefault(os.path.realpath(photo.path), photo.source)
        if first is not photo.source:
            rejected.append(Rejected(photo.source, photo.path, "a file that was named before", f"by {first}"))
        elif require_heading and photo.heading is None:
            rejected.append(Rejected(photo.source, photo.path, "no heading"))
        else:
            kept.append(photo)
    return kept, rejected


def _split(
    args: argparse.Namespace, photos: list[Photo], points: np.ndarray
) -> tuple[list[Photo], np.ndarray, list[str], list[Rejected]]:
    """(photos, points, their folders, rejected ones): photos between two areas are left out."""
    if args.all_to:
        return photos, points, [args.all_to] * len(photos), []
    shares = dict(zip(("train", "val", "test"), args.shares, strict=True))
    folders = assign_folders(
        points,
        [photo.time for photo in photos],
        shares,
        args.buffer,
        args.query_share,
        args.positive_dist_threshold,
        args.seed,
    )
    between = [
        Rejected(photo.source, photo.path, BUFFER_REASON)
        for photo, folder in zip(photos, folders, strict=True)
        if not folder
    ]
    inside = [index for index, folder in enumerate(folders) if folder]
    return [photos[index] for index in inside], points[inside], [folders[index] for index in inside], between


def _report(args: argparse.Namespace, photos: list[Photo], zone: tuple[int, str], built: Built) -> Iterator[str]:
    yield f"{len(photos)} photos in UTM zone {zone[0]}{zone[1]}; {built.made} images made, {built.there} were there"
    yield describe_extent(photos)
    yield from _counts(args, built)
    without, magnetic = sum(photo.heading is None for photo in photos), sum(photo.magnetic for photo in photos)
    if without:
        yield (
            f"{without} of {len(photos)} photos have no heading. On a small set do not train: test with --whiten "
            "database. To train all the same: --alpha 360 --L 1"
            + ("" if without == len(photos) else ", or leave them out with --require_heading")
        )
    if magnetic and not args.heading_offset:
        yield f"{magnetic} headings are of magnetic north, and stand as they are; --heading_offset adds the declination"
    if built.panoramic:
        yield f"{built.panoramic} photos of 2:1 may be panoramas; --panoramas cuts them"


def _counts(args: argparse.Namespace, built: Built) -> Iterator[str]:
    yield from (
        f"{count:8d} images in {os.path.join(args.output, folder)}"
        for folder, count in sorted(
            built.counts.items(), key=lambda item: FOLDERS.index(item[0]) if item[0] in FOLDERS else -1
        )
    )
    if built.rejected:
        yield f"{len(built.rejected)} left out ({os.path.join(args.output, REJECTED_FILE)}):"
        yield from (f"  {reason}" for reason in count_reasons(built.rejected))


def _check_kind(args: argparse.Namespace, defaults: dict[str, Any]) -> None:
    """Raises UserError for flags that have no use with, or without, --panoramas eigenplaces."""
    is_eigen = args.panoramas == EigenPlaces.kind
    common = {"photos", "output", "panoramas", "num_workers"}
    idle = set(defaults) - common - set(_ON_EIGENPLACES) - {"help"} if is_eigen else _ON_EIGENPLACES
    given = [f"--{name}" for name in defaults if name in idle and getattr(args, name) != defaults[name]]
    if given and is_eigen:
        raise UserError(f"--panoramas eigenplaces has no use for {', '.join(given)}: leave out what it does not need")
    if given:
        raise UserError(f"{', '.join(given)} can only be given with --panoramas eigenplaces")
    if is_eigen and len(args.photos or ()) != 1:
        raise UserError("--panoramas eigenplaces needs one folder of panoramas: name it with --photos")


def _check(args: argparse.Namespace) -> None:
    """Raises UserError if a value is out of range, or if flags contradict each other."""
    for name, low, high in (
        ("resize", 32, 10**5),
        ("crop_size", 32, 10**4),
        ("crop_fov", 5, 150),
        ("crop_pitch", -60, 60),
        ("buffer", 0, 10**6),
        ("query_share", 0.01, 0.9),
        ("positive_dist_threshold", 0.1, 10**4),
        ("seed", 0, 2**63 - 1),
        ("num_workers", 0, 1000),
        ("heading_offset", -360, 360),
    ):
        value = getattr(args, name)
        if value is not None and not low <= value <= high:
            raise UserError(f"--{name} is {value:g}; it must be from {low} to {high}")
    if not all(0 <= share < 1e9 for share in args.shares) or not sum(args.shares):
        raise UserError(
            f"--shares are {' '.join(f'{share:g}' for share in args.shares)}; they must be 0 or more, "
            "one of them above 0"
        )
    headings = [heading % 360 for heading in args.crop_headings]
    if not all(-360 <= heading <= 360 for heading in args.crop_headings) or len(set(headings)) < len(headings):
        raise UserError("--crop_headings must be from -360 to 360 degrees, none twice")
    args.crop_headings = headings
    if args.images != "copy" and (args.resize or args.square or args.panoramas):
        raise UserError(
            f"--images {args.images} makes no new images, as --resize, --square and --panoramas do: "
            "give one or the other"
        )
    for path in args.photos or ():
        if os.path.isdir(path) and f"{os.path.realpath(args.output)}/".startswith(f"{os.path.realpath(path)}/"):
            raise UserError(
                f"--output {args.output} lies in {path}, whose photos are searched for: name a folder outside"
            )
    if args.all_to and (
        os.path.isabs(args.all_to)
        or ".." in args.all_to.split("/")
        or os.path.normpath(args.all_to) == "."
        or args.all_to.startswith(".")
    ):
        raise UserError(f"--all_to {args.all_to} must be the name of a folder below --output")
    if args.photos and (args.images_folder or any(getattr(args, f"{field}_column") for field in COLUMNS)):
        raise UserError("--images_folder and the columns belong to --csv or --geojson")


if __name__ == "__main__":
    main()
