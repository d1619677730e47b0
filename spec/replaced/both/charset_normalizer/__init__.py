"""Stands for charset_normalizer in the one file.

The library guesses encodings, which nothing here asks for, and takes much memory.
"""

__version__ = "3.0.0"  # requests warns about versions outside of its range
