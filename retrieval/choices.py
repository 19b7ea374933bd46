"""What a test can be asked for. It imports no torch, so that --help answers at once."""

RECALL_VALUES = (1, 5, 10, 20, 100)  # the N of R@N
MAX_RECALL_VALUE = 10_000  # so many predictions a query are kept in memory
WHITEN_DATABASE = "database"  # of --whiten: the database's images themselves, and no folder of that name
