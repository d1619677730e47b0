"""Stands for zipfile in the one file: requests would look into an archive for certificates.

It does so if its own file of certificates isn't there, and it is there.
"""

import importer

__getattr__ = importer.rest_of("zipfile")
