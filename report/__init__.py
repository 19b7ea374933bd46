"""The pages that scripts write: an evaluation, localized photos, a run's curves, each one HTML file that needs no
network.
"""
