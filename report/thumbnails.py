"""Small pictures as data: URIs."""

import base64
import io

from PIL import Image

from datasets.images import ImageError, open_rgb

_HEIGHT, _MAX_WIDTH, _QUALITY = 132, 264, 70  # pixels; a wide panorama is cut to its middle


def thumbnail(path: str) -> dict:
    """An image file as a small JPEG, about 5 kB: {"uri", "width", "height"}; {"reason"} if it cannot be read."""
    try:
        image = open_rgb(path)
    except ImageError as error:
        return {"reason": str(error)}
    width, height = max(1, round(image.width * _HEIGHT / image.height)), _HEIGHT
    image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2)
    if width > _MAX_WIDTH:
        left = (width - _MAX_WIDTH) // 2
        image = image.crop((left, 0, left + _MAX_WIDTH, height))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return {
        "uri": "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode(),
        "width": image.width,
        "height": height,
    }
