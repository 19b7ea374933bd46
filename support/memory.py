"""Running out of memory, whoever notices it."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that there is no memory left: Python's, NumPy's, or PyTorch's on a CPU or a GPU."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in _TEXTS)
    )


_TEXTS = ("can't allocate memory", "not enough memory", "out of memory")  # of Linux, of Windows, of a GPU
