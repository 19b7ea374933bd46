"""torch.hub entry points.

`torch.hub.load(repository, "get_trained_model", backbone="ResNet50", fc_output_dim=2048)`
"""

import os
import sys

dependencies = ["torch", "torchvision", "numpy", "PIL"]

_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "python")
# Last on the path, so that nothing of the program's own is hidden. Processes that the program spawns get the same path.
# So they can unpickle what is made here.
if _FOLDER not in sys.path:
    sys.path.append(_FOLDER)

import cosplace  # noqa: E402

if os.path.realpath(cosplace.__path__[0]) != os.path.realpath(os.path.dirname(_FOLDER)):
    raise ImportError(f"there is another `cosplace` in {cosplace.__path__[0]}: it hides that of {_FOLDER}")

from cosplace import (  # noqa: E402, F401
    describe,
    fit_last_layer,
    get_trained_model,
    list_photos,
    localize,
    nearest,
    preprocess,
)
