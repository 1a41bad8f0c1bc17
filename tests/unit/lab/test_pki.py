"""Certificates, token and kubeconfig of a lab."""

from __future__ import annotations

from pathlib import Path

import yaml
from cryptography import x509

from lab import pki
from lab.config import LabConfig


def test_ensure_is_idempotent_and_private(tmp_path: Path) -> None:
    """A second call keeps every file; keys and tokens are for the owner alone."""
    config = LabConfig(name="unit", state_dir=str(tmp_path))
    pki.ensure(config)
    files = (config.ca_file, config.server_cert, config.server_key, config.token_file, config.kubeconfig)
    before = [file.read_bytes() for file in files]
    pki.ensure(config)
    assert [file.read_bytes() for file in files] == before
    assert all(file.stat().st_mode & 0o077 == 0 for file in (config.server_key, config.token_file, config.kubeconfig))


def test_server_certificate_names(tmp_path: Path) -> None:
    """The certificate is signed by the lab's authority and good for both listeners."""
    config = LabConfig(name="unit", state_dir=str(tmp_path))
    pki.ensure(config)
    server = x509.load_pem_x509_certificate(config.server_cert.read_bytes())
    server.verify_directly_issued_by(x509.load_pem_x509_certificate(config.ca_file.read_bytes()))
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {str(address) for address in names.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "10.77.0.1"}
    assert "localhost" in names.get_values_for_type(x509.DNSName)


def test_broken_certificate_is_replaced(tmp_path: Path) -> None:
    """A certificate that does not fit its authority is made anew, and the kubeconfig follows."""
    config = LabConfig(name="unit", state_dir=str(tmp_path), api_port=12345)
    pki.ensure(config)
    config.ca_file.write_text("not a certificate")
    pki.ensure(config)
    content = yaml.safe_load(config.kubeconfig.read_text())
    assert content["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:12345"
    x509.load_pem_x509_certificate(config.ca_file.read_bytes())
