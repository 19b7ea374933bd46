"""Networks and losses: from batches to descriptors."""
