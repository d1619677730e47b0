"""Where the packed program begins."""

from nym.__main__ import main

main()
