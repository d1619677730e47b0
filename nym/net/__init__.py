"""What clients and nodes build on: bytes over sockets and HTTP, names, listening, greenlets."""
