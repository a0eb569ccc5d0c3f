"""Deleting interfaces without waiting for it.

Deleting an interface keeps its caller 16 to 48 ms, most of it a wait for the kernel's other readers, during which
it takes other requests at full speed; setting an interface down instead blocks every other request for 11 ms.
So an interface goes out of service in two steps: `retire` moves it to a device group of its own (0.03 ms; its
owner takes the addresses away in the same breath), and a thread deletes that whole group in one request.
`revive` takes an interface back if the thread was not faster: the kernel decides, there is no race to lose.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable

from agents.kernel import links
from agents.kernel.netlink import KernelError, Netlink, Request


class Reaper:
    """Deletes retired interfaces of the namespace it was made in, in the background."""

    def __init__(self, netlink: Netlink, failed: Callable[[KernelError], None], delay: float = 0.2) -> None:
        self._netlink = netlink
        self._failed = failed
        self._delay = delay
        # Opened here, not in the thread: the namespace is the one of the socket's opener.
        self._background = Netlink()
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="reaper", daemon=True)
        self._thread.start()

    def retire(self, number: int, name: str) -> Request:
        """Request that takes an interface out of service; run it, then call `wake`."""
        return links.retire(number, name)

    def revive(self, name: str) -> bool:
        """Take a retired interface back into service; False if it is gone already."""
        try:
            self._netlink.run(links.take_back(name))
        except KernelError as error:
            if error.code != errno.ENODEV:
                raise
            return False
        return True

    def wake(self) -> None:
        """Start deleting after the delay, within which everything retired is deleted together."""
        self._wanted.set()

    def flush(self) -> None:
        """Delete what is retired now, and wait for it."""
        self._netlink.run(links.delete_group(links.RETIRED))

    def close(self) -> None:
        """Delete what is retired and end the thread."""
        self._closing.set()
        self._wanted.set()
        self._thread.join()
        self.flush()
        self._background.close()

    def _work(self) -> None:
        while self._wanted.wait() and not self._closing.wait(self._delay):
            self._wanted.clear()
            try:
                self._background.run(links.delete_group(links.RETIRED))
            except KernelError as error:
                self._failed(error)
