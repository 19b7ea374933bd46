"""A small renderer: triangles with pictures on them, sun and shadow, lamps, weather, and a camera with its faults.

It knows nothing of cities. What is rendered is a `Mesh` whose faces refer to `Texture`s.
"""
