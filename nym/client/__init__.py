"""The running client: a greenlet for each part that runs by itself."""
