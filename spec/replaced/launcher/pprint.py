"""Stands for pprint in the one file: gevent would show with it what all greenlets do."""

import importer

__getattr__ = importer.rest_of("pprint")
