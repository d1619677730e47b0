"""Local sockets: loops that move bytes between a connection, a dialect in wire/, and the service."""
