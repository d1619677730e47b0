"""The running client: one greenlet for each thing that happens by itself."""
