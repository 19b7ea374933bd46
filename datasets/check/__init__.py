"""Looks a data set over before it is trained or tested on: `python -m datasets.check --help`.

layout finds its folders, names and pictures look at one folder, parts at how they go together, suggestions at which
parameters would do.
"""
