"""Night images from day images: Fourier domain adaptation and post-processing, on batches and for whole data sets."""

from datasets.night.fourier import fda
from datasets.night.post_processing import post_process

__all__ = ["fda", "post_process"]
