"""From batches to descriptors and losses. Imports inside this package are relative (hubconf.py loads it under another name)."""
