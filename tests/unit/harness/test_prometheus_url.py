"""A Prometheus with a URL of its own, as OpenShift's Thanos querier: it gets the token, and has to prove who it is."""

from __future__ import annotations

import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from drainproof.api import Cluster
from drainproof.prometheus import Prometheus, PrometheusError
from drainproof.target import PrometheusFacts

TOKEN = "sha256~made-up"


@dataclass
class Querier:
    """Answers every query, and remembers the credentials that came with it."""

    url: str = ""
    ca_file: str = ""
    credentials: list[str | None] = field(default_factory=list)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that vouches for itself, with its key, for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "thanos-querier.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "both.pem").write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return folder


@contextmanager
def serving(folder: Path, *, tls: bool) -> Iterator[Querier]:
    querier = Querier(ca_file=str(folder / "ca.pem"))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            querier.credentials.append(self.headers.get("Authorization"))
            result = [{"metric": {}, "value": [1.0, "1"]}]
            body = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: pytest shows what matters."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that distrusts the certificate hangs up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / "both.pem")
            server.socket = context.wrap_socket(server.socket, server_side=True)
        querier.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield querier
        server.shutdown()
        thread.join()


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """A kubeconfig with a token; its server is never asked."""
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "made",
        "clusters": [{"name": "made", "cluster": {"server": "https://api.example:6443"}}],
        "users": [{"name": "made", "user": {"token": TOKEN}}],
        "contexts": [{"name": "made", "context": {"cluster": "made", "user": "made"}}],
    }))
    return Cluster.connect(path)


def test_a_querier_with_an_authority_of_its_own_is_asked_with_the_token(cluster: Cluster, certificate: Path) -> None:
    with serving(certificate, tls=True) as querier:
        facts = PrometheusFacts(url=querier.url, ca_file=querier.ca_file)
        assert Prometheus.of(cluster, facts).now("up")[0]["value"] == [1.0, "1"]
    assert querier.credentials == [f"Bearer {TOKEN}"]


@pytest.mark.parametrize("ca_file", ["", "/nowhere/ca.pem"])
def test_who_cannot_prove_who_he_is_gets_no_token(cluster: Cluster, certificate: Path, ca_file: str) -> None:
    """Neither by the authorities of this host, nor by a file that is not there."""
    with serving(certificate, tls=True) as querier, pytest.raises(PrometheusError, match="Prometheus query up"):
        Prometheus.of(cluster, PrometheusFacts(url=querier.url, ca_file=ca_file)).now("up")
    assert querier.credentials == []


def test_no_token_goes_over_the_network_in_clear(cluster: Cluster, certificate: Path) -> None:
    with serving(certificate, tls=False) as querier:
        assert Prometheus.of(cluster, PrometheusFacts(url=querier.url)).now("up")
    assert querier.credentials == [None]
