"""Night out of day: Fourier domain adaptation and post-processing, on batches, and sets of images made with them."""

from datasets.night.fourier import fda
from datasets.night.post_processing import post_process

__all__ = ["fda", "post_process"]
