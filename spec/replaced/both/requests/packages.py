"""Stands for requests.packages in the one file: second names of other libraries, for old programs.

To have these names, it would load idna with its tables, which only hosts that aren't ASCII need.
"""
