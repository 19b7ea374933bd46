"""What any program could use; nothing here knows of place recognition."""
