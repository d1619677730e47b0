"""In the place of charset_normalizer: it guesses encodings, which nothing here asks for."""

__version__ = "3.0.0"  # requests wants one that it knows
