"""Photos of phones: HEIC and AVIF, with and without their decoders, turned, cut short, or claiming too much."""

import contextlib
import csv
import io
import logging
import os
import struct
import types
from unittest import mock

import numpy as np
import pytest
from PIL import Image, features

from datasets import heif, images
from datasets import walk as walk_module
from datasets.images import ImageError, NoDecoderError, open_rgb, read_size
from datasets.names import list_images, parse_fields
from datasets.photos import find_photos
from datasets.prepare.__main__ import main as prepare
from datasets.prepare.exif import read_exif
from datasets.prepare.records import Unusable
from datasets.test_dataset import ImageFolder
from localization.database_index import WantedIndex, open_index
from localization.photos import Photos
from retrieval.cache import DescriptorCache
from retrieval.descriptors import ExtractionOptions, extract_descriptors
from retrieval.identity import weights_digest
from support import array_cache
from tests.descriptors import BATCH, SmallNetwork, extract
from tests.photos import HEIC_WITHOUT_DATA, encoded, photo, save

AVIF = pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
LINE = "it is HEIC: pip install -r requirements-heif.txt"
GPS = {1: "N", 2: (55.0, 42.0, 0.0), 3: "E", 4: (13.0, 11.0, 24.0), 16: "T", 17: 350.0}


@pytest.fixture(scope="module")
def heic():
    """heic(image, **options): the bytes of a HEIC file, with EXIF that says that the picture lies on its side."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed (requirements-heif.txt)")
    if not heif.decoder():
        pytest.skip("pillow-heif is older than in requirements-heif.txt")

    def make(image, orientation=1, gps=False, **options):
        stream, exif = io.BytesIO(), Image.Exif()
        exif[0x0112] = orientation
        if gps:
            exif[0x8825] = GPS
        pillow_heif.from_pillow(image).save(stream, quality=95, exif=exif.tobytes(), **options)
        return stream.getvalue()

    return make


@pytest.fixture
def without_decoder(monkeypatch):
    monkeypatch.setattr(heif, "decoder", lambda: None)


def sideways():
    return photo().transpose(Image.Transpose.ROTATE_90)


def type_box(*brands):
    return struct.pack(">I4s", 8 + 4 * len(brands), b"ftyp") + b"".join(brands)


def difference(image, expected):
    return np.abs(np.asarray(image, float) - np.asarray(expected.convert("RGB"), float)).mean()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (HEIC_WITHOUT_DATA, "HEIF"),
        (type_box(b"mif1", b"\0\0\0\0", b"heic", b"miaf"), "HEIF"),
        (type_box(b"mif1", b"\0\0\0\0", b"avif", b"miaf"), "AVIF"),
        (type_box(b"isom", b"heic", b"mp42"), ""),  # a film; the second is its version
        (type_box(b"heic")[:8], ""),
        (b"\0\0\0\0ftypheic", ""),
        (b"no photo", ""),
        (b"", ""),
    ],
)
def test_the_first_box_tells_the_kind(data, kind):
    file = io.BytesIO(data)
    assert heif.kind(file) == kind and file.tell() == 0


# --- without a decoder: one line, everywhere


def test_without_a_decoder_all_say_what_to_install(workdir, without_decoder):
    save(HEIC_WITHOUT_DATA)("photo.heic")
    for read in (open_rgb, read_size):
        with pytest.raises(NoDecoderError) as error:
            read("photo.heic")
        assert str(error.value) == LINE
    with pytest.raises(Unusable, match=LINE):
        read_exif("photo.heic")
    assert ImageFolder(".")[0] == (0, None, LINE) == Photos(["photo.heic"])[0]


@pytest.mark.parametrize("source", ["--photos", "--csv"])
def test_without_a_decoder_prepare_says_it_once(workdir, without_decoder, capsys, source):
    for name in ("a.heic", "b.HEIC", "c.heic"):
        save(HEIC_WITHOUT_DATA)(name)
    with open("t.csv", "w") as file:
        file.write("path,lat,lon\na.heic,55,13\nb.HEIC,55,13\nc,55,13\n")
    encoded_photo = encoded(photo(), exif=_exif())
    save(encoded_photo)("d.jpg")
    with open("t.csv", "a") as file:
        file.write("d.jpg,55.7,13.19\n")
    listed = {"--photos": ["a.heic", "b.HEIC", "c.heic", "d.jpg"], "--csv": ["t.csv"]}[source]
    prepare([source, *listed, "--output", "out", "--all_to", "db", "--num_workers", "0"])
    assert f"  3 for {LINE} (first " in capsys.readouterr().out and len(list_images("out/db")) == 1


def _exif():
    exif = Image.Exif()
    exif[0x8825] = GPS
    return exif


@pytest.mark.parametrize("version", ["1.19.8", "1.22.0", "1.23.0"])
def test_an_early_decoder_counts_as_none(version):
    """It decodes pictures larger than the file claims."""
    module = types.SimpleNamespace(libheif_version=lambda: version, HeifImageFile="decoder")
    with mock.patch.dict("sys.modules", pillow_heif=module):
        assert heif.decoder.__wrapped__() == (None if version < "1.23" else "decoder")
    with mock.patch.dict("sys.modules", pillow_heif=None):
        assert heif.decoder.__wrapped__() is None


def test_without_avif_the_line_names_pillow(monkeypatch):
    monkeypatch.setattr(Image, "init", lambda: None)
    monkeypatch.setattr(Image, "OPEN", {name: reader for name, reader in Image.OPEN.items() if name != "AVIF"})
    with pytest.raises(NoDecoderError, match="it is AVIF: pip install --upgrade Pillow"):
        open_rgb(io.BytesIO(type_box(b"avif", b"\0\0\0\0", b"avif")))


def test_descriptors_from_before_the_decoder_are_computed_again(workdir, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    os.mkdir("f")
    save(encoded(photo(), "PNG"))("f/@1@2@33@U@@@@@@@@@@@.png")
    save(HEIC_WITHOUT_DATA)("f/@3@4@33@U@@@@@@@@@@@.heic")
    folder, network, cache = ImageFolder("f"), SmallNetwork(), DescriptorCache("kept")

    def unreadable():
        wanted = WantedIndex(weights_digest(network), images=folder)
        with open_index("kept", wanted, lambda: described(folder, network, cache)) as index:
            of_index = dict(index.store.unreadable)
        assert of_index == extract(cache, folder, network)[1]
        return of_index

    def decoder():
        return lambda file, name: Image.open(io.BytesIO(encoded(photo(), "PNG")))

    monkeypatch.setattr(heif, "decoder", lambda: None)
    assert unreadable() == {1: LINE} == unreadable() and "computing them again" not in caplog.text
    monkeypatch.setattr(heif, "decoder", decoder)
    assert unreadable() == {} == unreadable() and caplog.text.count("can be read by now") == 1
    monkeypatch.setattr(heif, "decoder", lambda: None)
    assert unreadable() == {}  # they serve without the decoder


@contextlib.contextmanager
def described(folder, network, cache):
    with cache.store(network, folder, ExtractionOptions(BATCH)) as store:
        extract_descriptors(network, folder, ExtractionOptions(BATCH), store)
        yield store


# --- with one


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_heic_is_turned_once(heic, orientation):
    turned = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}
    method = turned[orientation]
    upright = photo() if method is None else photo().transpose(method)
    data = heic(photo(), orientation)
    assert (b"irot" in data) == (orientation > 1)
    assert read_size(io.BytesIO(data)) == upright.size and difference(open_rgb(io.BytesIO(data)), upright) < 5


@AVIF
def test_an_avif_is_turned_once():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(sideways(), "AVIF", quality=95, exif=exif)
    assert read_size(io.BytesIO(data)) == (64, 48) and difference(open_rgb(io.BytesIO(data)), photo()) < 5
    for damaged in (data[:-300], data[:60], data[:200]):
        with pytest.raises(ImageError) as error:
            open_rgb(io.BytesIO(damaged))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_all_channels_become_rgb(heic, mode):
    image = photo(mode)
    found = open_rgb(io.BytesIO(heic(image)))
    assert found.mode == "RGB" and difference(found, image) < 5


def test_a_heic_is_read_wherever_photos_are(heic, workdir, capsys):
    """In folders of data sets, by any name, for localize.py, with its EXIF, and by prepare, which makes JPEGs."""
    data = heic(sideways(), orientation=6, gps=True)
    os.mkdir("f")
    for name in ("a.HEIC", "b.heif", "c.jpg"):
        save(data)(f"f/{name}")
    folder = ImageFolder("f")
    assert list(folder.names) == ["a.HEIC", "b.heif", "c.jpg"]
    assert all(tuple(folder[index][1].shape) == (3, 48, 64) for index in range(3))
    assert find_photos(["f"]) == (["f/a.HEIC", "f/b.heif", "f/c.jpg"], 0)
    assert tuple(Photos(["f/a.HEIC"], 32)[0][1].shape) == (3, 32, 42)
    found = read_exif("f/a.HEIC")
    assert (found.latitude, found.longitude, found.heading) == pytest.approx((55.7, 13.19, 350))
    with open("t.csv", "w") as file:
        file.write("path,lat,lon,heading\na.HEIC,55.7,13.19,-10\nb,55.701,13.19,\n")
    flags = ["--output", "out", "--all_to", "db", "--num_workers", "0"]
    prepare(["--csv", "t.csv", "--images_folder", "f", *flags])
    names = list_images("out/db")
    assert len(names) == 2 and all(name.endswith(".jpg") for name in names)
    assert all(difference(Image.open(f"out/db/{name}"), photo()) < 6 for name in names)
    prepare(["--photos", "f/b.heif", "--output", "linked", "--images", "copy", *flags[2:]])
    assert parse_fields(list_images("linked/db"), (5, 6, 9)) == pytest.approx(np.array([[55.7, 13.19, 350]]))


def test_a_damaged_heic_is_named_as_that(heic, workdir, capsys):
    data = heic(photo(), gps=True)
    for damaged in (data[:-100], data[: len(data) // 2], data[:40], data.replace(b"hvc1", b"hvcx")):
        with pytest.raises(ImageError, match="^its HEIC data are damaged: ") as error:
            open_rgb(io.BytesIO(damaged))
        assert "\n" not in str(error.value)
    os.mkdir("p")
    save(data)("p/sound.heic")
    save(data[:-100])("p/cut.heic")
    prepare(["--photos", "p", "--output", "out", "--all_to", "db", "--num_workers", "0"])
    with open("out/rejected.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["path"] == "p/cut.heic" and row["detail"].startswith("its HEIC data are damaged: ")


def test_damaged_bytes_give_an_image_or_an_image_error(heic):
    files, rng = [heic(photo(), orientation=6), heic(photo("RGBA"))], np.random.default_rng(0)
    kinds = set()
    for number in range(120):
        damaged = bytearray(files[number % 2])
        for place in rng.integers(0, 450, rng.integers(1, 5)):
            damaged[place] = rng.integers(0, 256)
        try:
            kinds.add(open_rgb(io.BytesIO(bytes(damaged))).mode)
        except ImageError as error:
            kinds.add(str(error)[:20])
            assert "\n" not in str(error)
    assert {"RGB", "its HEIC data are da"} <= kinds


def test_what_a_heic_claims_is_bounded_before_it_is_decoded(heic, monkeypatch):
    """A picture that is cropped in the end is first decoded whole; one that is larger than it claims is refused."""

    def claiming(data, width, height):
        at = data.index(b"ispe") + 8
        return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]

    cropped, whole = heic(Image.new("RGB", (60, 44))), heic(Image.new("RGB", (640, 640)))
    assert b"clap" in cropped and open_rgb(io.BytesIO(cropped)).size == (60, 44)
    for data in (cropped, whole):
        for read in (open_rgb, read_size):
            with pytest.raises(ImageError, match="claims 30000 x 30000 pixels; more than 268435456 are not decoded"):
                read(io.BytesIO(claiming(data, 30_000, 30_000)))
    with pytest.raises(ImageError, match="^its HEIC data are damaged: .*(limit|size)"):
        open_rgb(io.BytesIO(claiming(whole, 64, 64)))
    monkeypatch.setattr(images, "MAX_PIXELS", 640 * 640 - 1)
    with pytest.raises(ImageError, match="claims 640 x 640"):
        open_rgb(io.BytesIO(whole))


# --- folders


def test_an_earlier_walk_without_heic_is_walked_again(workdir, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    os.mkdir("f")
    save(encoded(photo()))("f/a.jpg")
    save(HEIC_WITHOUT_DATA)("f/b.heic")
    with monkeypatch.context() as patch:
        patch.setattr(walk_module, "IMAGE_EXTENSIONS", (".jpg", ".jpeg", ".png"))
        patch.setattr(walk_module, "settled", lambda *_: True)
        patch.setattr(array_cache, "load", _without_extensions(array_cache.load))
        patch.setattr(array_cache, "save", _saving_without_extensions(array_cache.save))
        assert list(list_images("f")) == ["a.jpg"]
    caches = [name for name in os.listdir("cache") if not name.endswith(".lock")]
    assert list(list_images("f")) == ["a.jpg", "b.heic"] and "rebuilding it" in caplog.text
    assert [name for name in os.listdir("cache") if not name.endswith(".lock")] == caches


def _without_extensions(load):
    return lambda path, expected, *rest: load(path, _old(expected), *rest)


def _saving_without_extensions(save_cache):
    return lambda path, header, arrays: save_cache(path, _old(header), arrays)


def _old(header):
    return {name: value for name, value in header.items() if name != "extensions"}
