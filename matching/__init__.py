"""A second look at predictions by local features: matchers, verification, a store of features, and the new order."""
