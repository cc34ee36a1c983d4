"""The local AWS as a server in this process."""

import socket
import threading
from datetime import datetime
from types import TracebackType
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import ThreadedWSGIServer

from local_aws.backend import Backend
from local_aws.clock import Clock
from local_aws.control import Commands
from local_aws.glacier import Glacier
from local_aws.http_handler import handler_for
from local_aws.settings import Settings

HOST = "127.0.0.1"


class _Server(ThreadedWSGIServer):
    """A server with a thread for each connection, which can close all connections."""

    daemon_threads = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*args, **kwargs)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the client has closed it already


class LocalAws:
    """A local AWS. It listens on its port when constructed, and serves requests from :meth:`start` to :meth:`stop`.

    moto keeps its state in module globals: two instances in one process share S3, STS and IAM.

    :param port: 0 selects a free port.
    :param start_at: the initial time of the clock; ``None`` is the current time.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        settings: Settings | None = None,
        start_at: datetime | None = None,
        clock_speed: float = 1.0,
    ) -> None:
        self.backend = Backend(Clock(start_at, clock_speed), settings or Settings())
        self.commands = Commands(self.backend, start_at=start_at)
        glacier = Glacier(self.backend, self.commands.execute)
        app = DomainDispatcherApplication(create_backend_app)
        self._server = _Server(HOST, port, app, handler_for(glacier, self.commands.execute))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    @property
    def endpoint(self) -> str:
        """The endpoint URL for clients."""
        return f"http://{HOST}:{self._server.server_address[1]}"

    def start(self) -> None:
        """Serve requests in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving, and close all connections."""
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()

    def __enter__(self) -> "LocalAws":
        """Start the server."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()
