"""Formats: bytes to values and back, for the network and for the local sockets. No I/O here.

A parser takes all bytes of one message and returns a value, or raises a typed error of nym.errors.
Nothing here knows sockets, files, clocks or greenlets, so a test can feed it any bytes.
"""
