"""The connection to one API server, shared by all who ask it: its credentials, loaded anew when refused, its count."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

from requests import PreparedRequest, Response, Session
from requests.auth import AuthBase
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, Timeout
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError

from drainproof.errors import CannotRunError
from drainproof.request import Answer, Request
from drainproof.request_counts import RequestCounter, kind_of

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0
DEAD_PEER_SECONDS = 25
"""A peer that has acknowledged nothing for so long is dead: as for client-go's watches, within 30 s."""
_PROBE_SECONDS, _PROBES = 5, 3
SOCKET_OPTIONS = [
    *HTTPConnection.default_socket_options,
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, DEAD_PEER_SECONDS - _PROBE_SECONDS * _PROBES),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_SECONDS),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_SECONDS * 1000),
]
"""TCP keep-alive, and the same bound for what was sent and never acknowledged."""


Client = Any
"""The kubernetes package's ApiClient, which only drainproof.api imports: it knows URL, pool and credentials."""


class Connection:
    """Sends requests, each once; whoever repeats one says so.

    `load` makes a client from the place where its credentials are kept, and raises CannotRunError when it cannot.
    """

    def __init__(self, load: Callable[[], Client]) -> None:
        self._load = load
        self._client = load()
        self._lock = threading.Lock()
        self.counter = RequestCounter()
        self.answered = False
        """Whether the server has ever answered: one that has not may not be there at all."""

    @property
    def client(self) -> Client:
        return self._client

    def fetch(self, request: Request, seconds: float, *, repeated: bool = False) -> Answer:
        """Send a request and read its answer whole; whatever comes between is in the answer's `error`."""
        try:
            response = self._open(request, seconds)
        except (HTTPError, OSError) as error:
            self._count(request, 0, repeated=repeated)
            return Answer(error=error)
        try:
            answer = self._read(request, response)
        finally:
            response.release_conn()
        self._count(request, answer.code, repeated=repeated)
        self.answered = self.answered or answer.error is None
        return answer

    def stream(self, request: Request, seconds: float) -> tuple[Answer, BaseHTTPResponse | None]:
        """Open a watch: the answer's head, and what follows, to be closed by the caller; None when it was refused."""
        try:
            response = self._open(request, seconds)
        except (HTTPError, OSError) as error:
            self._count(request, 0)
            return Answer(error=error), None
        self._count(request, response.status)
        if response.status < 300:
            return Answer(response.status, str(response.reason), response.headers), response
        try:
            return self._read(request, response), None
        finally:
            response.release_conn()

    def renew(self, refused: Client) -> bool:
        """Load the credentials anew when the client that was refused still has the last ones; whether there are others.

        Several threads may be refused at the same moment: one of them loads.
        """
        with self._lock:
            if self._client is not refused:
                return True
            try:
                self._client = self._load()
            except CannotRunError as error:
                log.warning("the credentials were refused and cannot be loaded anew: %s", error)
                return False
            return True

    def session(self) -> Session:
        """An HTTP session with the credentials and certificate authority of this connection, and its count."""
        configuration = self._client.configuration
        session = Session()
        session.verify = configuration.ssl_ca_cert if configuration.verify_ssl else False
        if configuration.cert_file:
            session.cert = (configuration.cert_file, configuration.key_file)
        session.auth = _Credentials(self)
        session.hooks["response"].append(self._count_proxied)
        return session

    def _open(self, request: Request, seconds: float) -> BaseHTTPResponse:
        client = self._client
        headers = {"Accept": "application/json, */*", "Content-Type": request.content_type}
        method, url, headers, *_ = client.param_serialize(
            request.method, request.path, query_params=list(request.query.items()), header_params=headers,
            auth_settings=["BearerToken"],
        )
        body = None if request.body is None else json.dumps(request.body)
        pool: HTTPConnectionPool = client.rest_client.pool_manager
        timeout = Timeout(connect=min(CONNECT_SECONDS, seconds), read=seconds)
        return pool.request(
            method, url, body=body, headers=headers, timeout=timeout, preload_content=False, retries=False,
            redirect=False,
        )

    @staticmethod
    def _read(request: Request, response: BaseHTTPResponse) -> Answer:
        try:
            text = response.data.decode(errors="replace")
        except (HTTPError, OSError) as error:
            return Answer(error=error)
        answer = Answer(response.status, str(response.reason), dict(response.headers), text)
        if request.json and answer.code < 300:
            try:
                answer.content  # noqa: B018 - an answer that was cut off between two chunks is none
            except ValueError as error:
                return Answer(error=error)
        return answer

    def _count(self, request: Request, code: int, *, repeated: bool = False) -> None:
        kind = kind_of(
            request.method, request.path, code, content_type=request.content_type, watch=request.watch,
            repeated=repeated,
        )
        self.counter.add(kind)

    def _count_proxied(self, response: Response, **_: Any) -> None:
        host = str(self._client.configuration.host)
        if response.url.startswith(host):
            path = response.url.removeprefix(host).partition("?")[0]
            self.counter.add(kind_of(str(response.request.method), path, response.status_code))


class _Credentials(AuthBase):
    """The connection's token as it is at the moment: in a pod it changes every hour."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        for setting in self._connection.client.configuration.auth_settings().values():
            r.headers["Authorization"] = setting["value"]
        return r
