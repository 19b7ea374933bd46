"""From batches to descriptors and losses."""
