"""Packed data sets: images as they are in a few large tar files, with an index, instead of millions of small files."""
