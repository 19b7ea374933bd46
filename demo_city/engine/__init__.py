"""A small renderer of Meshes that knows nothing of cities: sun and shadow, lamps, weather, a camera with faults."""
