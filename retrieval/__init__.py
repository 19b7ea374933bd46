"""From descriptors to neighbours."""
