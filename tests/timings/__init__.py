"""Whether the time that C code takes depends on secrets, for tests/timing.

The method is that of O. Reparaz, J. Balasch and I. Verbauwhede, Dude, is my code constant time?
(2017). A function gets an input that is always the same, or a random one, in random order, and
Welch's t-test says whether the two kinds take different times. Whatever else the machine does falls
on both kinds alike: it hides small differences, and makes none.
"""
