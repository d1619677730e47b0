"""A network on many hosts: `tests/hosts`."""
