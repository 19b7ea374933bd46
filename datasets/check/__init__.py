"""Checks a data set before it is trained or tested on: `python -m datasets.check --help`.

layout finds its folders, names and pictures look at one folder, parts at how folders go together, suggestions at which
parameters would work, and eigenplaces at how images see the points that EigenPlaces trains on.
"""
