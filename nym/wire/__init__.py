"""Bytes to values and back: what goes over the network and over the local sockets. No I/O here.

A parser takes all bytes of one thing and returns a value, or raises a typed error of nym.errors.
"""
