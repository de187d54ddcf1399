"""Started in the background, a shell makes its children deaf to Ctrl-C, and theirs; some tests send it to a child."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
