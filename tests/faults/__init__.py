"""I/O that fails, and processes that are killed."""
