"""A way to a server that can be cut: a port of its own whose connections are passed on. Knows nothing of what they carry."""

import contextlib
import socket
import threading


class Link:
    """`endpoint` (`host:port`) is what a client is given instead of the server's."""

    def __init__(self, server):
        self._server = (server.host, server.port)
        self._open = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = "127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        """Ends every connection, in the middle of whatever it says, and takes no more."""
        for end in [self._listener, *self._open]:
            # Whoever waits in it is woken; one that has ended by itself is not connected any more.
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._open += [client, server]
                for ends in [(client, server), (server, client)]:
                    threading.Thread(target=_pass_on, args=ends, daemon=True).start()


def _pass_on(source, sink):
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
