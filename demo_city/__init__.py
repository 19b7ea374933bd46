"""The demo city: two procedural cities, rendered as street photographs with true positions (see docs/demo_city.md)."""
