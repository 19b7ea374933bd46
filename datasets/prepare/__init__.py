"""A data set from own photos: positions from a table or EXIF, one UTM zone, panoramas cut, splits by area.

`python -m datasets.prepare --help`. records says what is known of a photo, tables and exif read it, positions converts
it to metres, areas splits photos, images and panoramas make images, and build makes the data set of them.
"""
