"""Local sockets: move bytes between a connection, a dialect of wire/, and the service."""

CONTROL_SOCKET = "client.sock"  # in the folder of a client that runs: commands find it there
