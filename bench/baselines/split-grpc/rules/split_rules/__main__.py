"""Prints the address it listens on as its first line and ends when its standard input does."""

import sys

from split_rules.service import start


def main() -> None:
    """Serve until the end of standard input."""
    server, address = start()
    print(address, flush=True)
    sys.stdin.buffer.read()
    server.stop(grace=None).wait()


main()
