"""Local sockets: they move bytes between an application, a dialect of nym.wire, and the service.

`local` listens, `connection` moves bytes, and a conversation knows what is said in one dialect.
"""

# The control socket of a running client, in its folder, where commands look for it. Its name is
# here so that commands don't have to load what serves it.
CONTROL_SOCKET = "client.sock"
