"""Inputs that nobody would send, and many of them."""
