"""Greenlets in tests, too: the program's modules count on gevent's patch."""

from gevent import monkey

monkey.patch_all()
