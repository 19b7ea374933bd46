"""Small pictures as data: URIs."""

import base64
import io

from PIL import Image

from datasets.images import ImageError, open_rgb

_HEIGHT, _MAX_WIDTH, _QUALITY = 132, 264, 70  # pixels; a wide panorama is cut to its middle


def thumbnail(path: str, height: int = _HEIGHT, max_width: int | None = _MAX_WIDTH) -> dict:
    """An image file as a small JPEG, about 5 kB: {"uri", "width", "height"}; {"reason"} if it cannot be read.

    height: pixels; max_width: pixels, to which a wider one is cut; None: it is not cut.
    """
    try:
        image = open_rgb(path)
    except ImageError as error:
        return {"reason": str(error)}
    width = max(1, round(image.width * height / image.height))
    image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2)
    if max_width and width > max_width:
        left = (width - max_width) // 2
        image = image.crop((left, 0, left + max_width, height))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return {
        "uri": "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode(),
        "width": image.width,
        "height": height,
    }
