"""Stands for stringprep in the one file: it has tables for host names that aren't ASCII.

Python's codec for host names loads it, and asks it nothing about the others.
"""

import importer

__getattr__ = importer.rest_of("stringprep")
