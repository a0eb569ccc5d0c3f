"""`python -m topologies.cli`: what ./roamlab hands over to."""

import signal
import sys


def _loaded_in_peace() -> int:
    """Import the command line, half a second in which Ctrl-C just ends us, without a traceback; then do its work."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from topologies.cli.app import main

    signal.signal(signal.SIGINT, before)
    return main(sys.argv[1:])


sys.exit(_loaded_in_peace())
