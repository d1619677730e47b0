"""What clients and nodes build on: TCP and HTTP, names, listening, threads and greenlets."""
