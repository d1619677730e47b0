"""Greenlets in tests, too: the program's modules count on gevent's patch.

Only of what waits on the network; pytest-xdist's workers have threads of their own by now.
"""

from gevent import monkey

monkey.patch_socket()
monkey.patch_ssl()
monkey.patch_select()
monkey.patch_time()
