"""Which zips torch.load reads as the standard library does."""

import zipfile
from typing import BinaryIO


def refuse_other_zips(archive: zipfile.ZipFile, file: BinaryIO) -> None:
    """Raises ValueError unless a zip is one that torch.save or model.packing can have written, alone in its file.

    Of two that were joined, zipfile checks the second, and torch reads values of the first. Of entries of one name
    zipfile checks the last, and torch, to which a and A are the same, reads any.
    """
    entries = archive.infolist()
    file.seek(archive.start_dir + 42)  # in the first entry's record: the place of its data, counted from the archive
    place = int.from_bytes(file.read(4), "little")
    names = {entry.filename.lower() for entry in entries}
    if (
        not any(name.endswith("/data.pkl") for name in names)
        or entries[0].header_offset != 0  # counted from the file
        or place != 0
        or len(names) < len(entries)
        or any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries)
    ):
        raise ValueError("it is no file as torch.save writes it")
