"""GSV-Cities' data frames: tables without a column of files, whose other columns make up each image's name."""

from collections.abc import Mapping, Sequence

from datasets.prepare.records import plain_name

# the columns of a data frame
NAMES = ("city_id", "place_id", "northdeg", "lat", "lon", "panoid", "year", "month")
FOLDER = "Images"  # below the data set's folder


def find_columns(header: Sequence[str]) -> dict[str, int]:
    """Finds the columns of a data frame in a table's header: {name: index}; {} where it is no data frame."""
    plain = [plain_name(name) for name in header]
    if any(plain.count(plain_name(name)) != 1 for name in NAMES):
        return {}
    return {name: plain.index(plain_name(name)) for name in NAMES}


def values_of(row: Mapping[str, str]) -> dict[str, str]:
    """Makes up the path of a row's image, below the data set's folder, and its time: {"path": ..., "time": ...}.

    row: {name of a column: the text that stands there}
    """
    row = {name: text.strip() for name, text in row.items()}
    city, year, month = row["city_id"], row["year"].zfill(4), row["month"].zfill(2)
    parts = (city, row["place_id"].zfill(7), year, month, row["northdeg"].zfill(3))
    name = "_".join((*parts, row["lat"], row["lon"], row["panoid"]))
    return {"path": f"{FOLDER}/{city}/{name}.jpg", "time": year + month}
