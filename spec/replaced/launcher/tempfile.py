"""Stands for tempfile in the one file: requests would unpack certificates from an archive.

The demo makes a folder with it, and then the library is loaded.
"""

import importer

__getattr__ = importer.rest_of("tempfile")
