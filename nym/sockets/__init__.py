"""Local sockets: move bytes between a connection, a dialect of wire/, and the service."""
