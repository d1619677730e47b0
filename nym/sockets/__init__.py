"""Local sockets: they move bytes between an application, a dialect of nym.wire, and the service.

`local` listens, `connection` moves bytes, and a conversation knows what is said in one dialect.
"""

# The control sockets of a running client and of a running node, in their folders, where commands
# look for them. The names are here so that commands don't have to load what serves them.
CONTROL_SOCKET = "client.sock"
NODE_SOCKET = "node.sock"
