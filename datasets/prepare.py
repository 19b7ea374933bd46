"""Makes an `@`-named data set of photos whose EXIF holds a GPS position: `python -m datasets.prepare --help`."""

import argparse
import math
import os
import shutil
import sys
import tempfile

from PIL import ExifTags, Image
from tqdm import tqdm

from datasets.images import ImageError, open_rgb, resize_shorter_side
from datasets.names import format_name, latlon_to_utm, write_images_list
from datasets.walk import IMAGE_EXTENSIONS
from model.errors import UserError
from model.files import current_umask, replacing

_GPS = ExifTags.GPS


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m datasets.prepare", allow_abbrev=False, description="Copies photos with EXIF GPS "
                                     "into train, val and test folders with @ names. Every query_every-th photo is a query, in turn of val "
                                     "and of test; the others are the database of both, and the training set.")
    parser.add_argument("--photos", nargs="+", required=True, metavar="PATH", help="photos, or folders of them (searched through)")
    parser.add_argument("--output", required=True, help="folder to make; it must not exist yet, or be empty")
    parser.add_argument("--query_every", type=int, default=3, metavar="N", help="one photo in N is a query (default: %(default)s)")
    parser.add_argument("--resize", type=int, default=0, metavar="N", help="shorter side of the copies, pixels; 0 keeps the photos' "
                        "own size (default: %(default)s)")
    args = parser.parse_args(argv)
    if args.query_every < 2:
        parser.error("--query_every must be at least 2")
    if args.resize and args.resize < 32:
        parser.error("--resize must be 0, or at least 32 pixels")
    try:
        counts, unusable = prepare(args.photos, args.output, args.query_every, args.resize)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    for path, reason in unusable:
        print(f"left out: {path!r}: {reason}")
    print(f"{args.output}: " + ", ".join(f"{count} images in {folder}" for folder, count in counts.items())
          + f"; {len(unusable)} photos left out")
    return 0


def prepare(photos, output, query_every=3, resize=0):
    """Writes the data set; returns ({folder: number of images}, [(path, why a photo was left out)]).

    Positions are UTM metres in the zone of the first photo, so that photos across a border stay metric. A photo's heading is its
    GPSImgDirection, or 0 if it has none. Raises UserError when the output exists, or fewer than 2 * query_every photos have a position.
    """
    if os.path.exists(output) and os.listdir(output):
        raise UserError(f"{output} exists and is not empty; name another folder or remove it")
    usable, unusable, zone = [], [], (None, None)
    for path in _find_photos(photos):
        try:
            latitude, longitude, heading = read_gps(path)
            east, north, *zone = latlon_to_utm(latitude, longitude, *zone)
            usable.append((path, east, north, zone, latitude, longitude, heading))
        except (ImageError, UserError) as error:
            unusable.append((path, str(error)))
    if len(usable) < 2 * query_every:
        reason = f"; {unusable[0][0]!r}: {unusable[0][1]}" if unusable else ""
        raise UserError(f"{len(usable)} photos have a position, too few to make queries and a database of{reason}")

    parent = os.path.dirname(os.path.abspath(output))
    os.makedirs(parent, exist_ok=True)
    building = tempfile.mkdtemp(prefix=f".{os.path.basename(os.path.abspath(output))}.", dir=parent)
    try:
        counts = _write(usable, unusable, building, query_every, resize)
        os.chmod(building, 0o777 & ~current_umask())  # mkdtemp's folders are for their owner alone
        if os.path.exists(output):
            os.rmdir(output)
        os.rename(building, output)
    except OSError as error:
        raise UserError(f"{output} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)  # gone under this name if all went well
    return counts, unusable


def _write(usable, unusable, building, query_every, resize):
    """Copies the usable photos below `building`, which adds to `unusable`; returns {folder: number of images}."""
    folders = {folder: [] for folder in ("train", "val/database", "val/queries", "test/database", "test/queries")}
    for index, (path, east, north, zone, latitude, longitude, heading) in enumerate(tqdm(usable, desc="Photos", unit="img", disable=None)):
        query = index % query_every == query_every - 1
        targets = [("val/queries", "test/queries")[index // query_every % 2]] if query else ["train", "val/database", "test/database"]
        try:
            image = open_rgb(path)
        except ImageError as error:
            unusable.append((path, str(error)))
            continue
        image = resize_shorter_side(image, resize) if resize else image
        name = format_name(east, north, *zone, latitude, longitude, f"photo{index:06d}", heading=heading)
        for folder in targets:
            os.makedirs(os.path.join(building, folder), exist_ok=True)
            with replacing(os.path.join(building, folder, name)) as temporary:
                image.save(temporary, "JPEG", quality=95)
            folders[folder].append(name)
    for folder, names in folders.items():
        if not names:
            raise UserError(f"no photo is left for {folder}")
        write_images_list(os.path.join(building, folder), sorted(names))
    return {folder: len(names) for folder, names in folders.items()}


def read_gps(path):
    """(latitude, longitude, heading) in degrees of a photo's EXIF; heading 0 if it has none. Raises ImageError without a position."""
    try:
        with Image.open(path) as image:
            gps = image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error
    except Exception as error:  # Pillow raises nearly anything on damaged files
        raise ImageError(f"{type(error).__name__}: {error}") from error
    try:
        latitude = _degrees(gps[_GPS.GPSLatitude]) * (-1 if gps[_GPS.GPSLatitudeRef].upper().startswith("S") else 1)
        longitude = _degrees(gps[_GPS.GPSLongitude]) * (-1 if gps[_GPS.GPSLongitudeRef].upper().startswith("W") else 1)
        heading = float(gps.get(_GPS.GPSImgDirection, 0)) % 360
        if not (math.isfinite(latitude) and math.isfinite(longitude)):
            raise ValueError("no number")
        return latitude, longitude, heading if math.isfinite(heading) else 0.0  # 0/0: without a compass
    except KeyError as error:
        raise ImageError("its EXIF has no GPS position") from error
    except (ValueError, TypeError, ArithmeticError, AttributeError) as error:
        raise ImageError(f"its EXIF GPS position is damaged ({error})") from error


def _degrees(triple):
    degrees, minutes, seconds = (float(value) for value in triple)
    return degrees + minutes / 60 + seconds / 3600


def _find_photos(paths):
    for path in paths:
        if os.path.isdir(path):
            for folder, folders, files in os.walk(path):
                folders.sort()
                yield from (os.path.join(folder, name) for name in sorted(files) if name.lower().endswith(IMAGE_EXTENSIONS))
        elif os.path.exists(path):
            yield path
        else:
            raise UserError(f"there is no photo or folder {path}; check the path")


if __name__ == "__main__":
    sys.exit(main())
