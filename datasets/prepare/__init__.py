"""Own photos to a data set: positions from a table or EXIF, one UTM zone, panoramas cut, splits by area.

`python -m datasets.prepare --help`. records is what is known of a photo, tables and exif read it, positions brings it
to metres, areas splits it, images and panoramas make its images, build the data set of them.
"""
