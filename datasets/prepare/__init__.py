"""Own photos to a data set: positions from a table or EXIF, one UTM zone, panoramas cut, splits by area.

`python -m datasets.prepare --help`. records is what is known of a photo, tables and exif read it, positions brings it to metres, areas
splits it, panoramas cuts it, build writes it.
"""
