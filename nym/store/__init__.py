"""What must survive the process: a journal on disk, and what is kept in it."""
