"""What localize.py can be asked for, by name. It imports no torch, so that --help answers at once."""

EXIF = "exif"  # of --positions
METHODS = ("cluster", "nearest")  # of localization.position
FORMAT_NAMES = ("table", "jsonl", "csv", "geojson")  # of localization.formats
NEIGHBOURS = 50  # database images that vote for a position
MAX_PIXELS = 1 << 21  # of what the network sees; larger photos are reduced to so many: a VGG-16 takes 2 GB for them
