"""Where the packed program begins."""

import ctypes
import signal

# What has unpacked it is its parent, and whom a supervisor knows: it ends when that is killed.
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

from nym.__main__ import main

main()
