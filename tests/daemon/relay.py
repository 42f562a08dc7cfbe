"""A line of limited speed between a browser and a daemon."""

import contextlib
import select
import socket
import threading
import time

PIECE = 8192


class Relay:
    """Hands on what comes to `port`; what is sent through it goes at `rate` bytes a second, at any speed where it is None."""

    def __init__(self, target):
        self.target, self.rate, self.over, self.threads = target, None, False, []

    def __enter__(self):
        self.server = socket.socket()
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)  # as those that it accepts have it: little waits in them
        self.server.bind(("127.0.0.1", 0))
        self.server.listen(64)
        self.port = self.server.getsockname()[1]
        self.begin(self.accept)
        return self

    def __exit__(self, *unused):
        self.over = True
        for thread in self.threads:
            thread.join()
        self.server.close()

    def begin(self, run, *args):
        self.threads.append(threading.Thread(target=run, args=args))
        self.threads[-1].start()

    def accept(self):
        while not self.over:
            if select.select([self.server], [], [], 0.05)[0]:
                self.begin(self.hand_on, self.server.accept()[0])

    def hand_on(self, here):
        """Until one side ends or breaks off; then the other one hears of it."""
        with here, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.target)) as there:
            while not self.over:
                for source in select.select([here, there], [], [], 0.05)[0]:
                    piece = source.recv(PIECE)
                    if not piece:
                        return
                    (there if source is here else here).sendall(piece)
                    if source is here and self.rate:
                        time.sleep(len(piece) / self.rate)
