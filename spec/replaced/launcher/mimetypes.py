"""Stands for mimetypes in the one file: urllib3 would ask it for the types of files in forms."""

import importer

__getattr__ = importer.rest_of("mimetypes")
