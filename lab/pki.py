"""The lab's certificate authority, server certificate, administrator token and kubeconfig."""

from __future__ import annotations

import base64
import ipaddress
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.config import FABRIC_ADDRESS, LabConfig

VALIDITY = timedelta(days=3650)
RENEW_BEFORE = timedelta(days=30)
_CLOCK_SLACK = timedelta(hours=1)


def ensure(config: LabConfig) -> None:
    """Write whatever of CA, server certificate, token and kubeconfig is missing or nearly expired; keep the rest.

    Raises OSError when the state directory cannot be written.
    """
    config.ca_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not _usable(config):
        _write_certificates(config)
    if not config.token_file.exists():
        _write_private(config.token_file, secrets.token_urlsafe(32).encode())
    _write_kubeconfig(config)


def _usable(config: LabConfig) -> bool:
    files = (config.ca_file, config.server_cert, config.server_key)
    if not all(file.exists() for file in files):
        return False
    try:
        certificates = [x509.load_pem_x509_certificate(file.read_bytes()) for file in files[:2]]
        certificates[1].verify_directly_issued_by(certificates[0])
    except (ValueError, TypeError, OSError):
        return False
    limit = datetime.now(UTC) + RENEW_BEFORE
    return all(certificate.not_valid_after_utc > limit for certificate in certificates)


def _write_certificates(config: LabConfig) -> None:
    ca_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"drainproof lab {config.name}")])
    ca = (
        _builder(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_ca_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
    server = (
        _builder(subject, ca_name, server_key.public_key())
        .add_extension(_alternative_names(), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    key = server_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write_private(config.server_key, key)
    config.server_cert.write_bytes(server.public_bytes(serialization.Encoding.PEM))
    config.ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(issuer).public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SLACK).not_valid_after(now + VALIDITY)
    )


def _ca_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )


def _alternative_names() -> x509.SubjectAlternativeName:
    addresses = ("127.0.0.1", FABRIC_ADDRESS)
    return x509.SubjectAlternativeName([
        x509.DNSName("localhost"), x509.DNSName("kubernetes"), x509.DNSName("kubernetes.default.svc"),
        *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
    ])


def _write_private(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(data)


def _write_kubeconfig(config: LabConfig) -> None:
    name = f"drainproof-{config.name}"
    content = yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": name, "preferences": {},
        "clusters": [{"name": name, "cluster": {
            "server": config.server_url,
            "certificate-authority-data": base64.b64encode(config.ca_file.read_bytes()).decode(),
        }}],
        "users": [{"name": "admin", "user": {"token": config.token_file.read_text()}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "admin", "namespace": "default"}}],
    })
    if not config.kubeconfig.exists() or config.kubeconfig.read_text() != content:
        _write_private(config.kubeconfig, content.encode())
