"""A long run of real clients on a network that breaks at random (tests/soak).

Nothing of the program is loaded or replaced: clients and network are processes, and what breaks
does so between them, by signals, proxies, limits and a full disk. Each message's outcome is noted.
"""
