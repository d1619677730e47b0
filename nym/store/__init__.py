"""What must outlive the process: a journal on disk, and the boxes that live in it."""
