"""The dialect of the published client's successor, nym-client 1.1.

docs/protocol/sockets.md, "Nym 1.1". Each request decides for itself whether it is a text or a
binary message; what comes unasked has the form of the last request (`forms`).
"""
