"""A certificate authority of a test's own, and a key for a server on the loopback address."""

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from streams.broker import SaslSsl

VALID_DAYS = 2


def _certificate(name: str, key: ec.EllipticCurvePrivateKey, issuer: str) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    subject, by = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in (name, issuer))
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(by).public_key(key.public_key())
    span = builder.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(days=VALID_DAYS))
    return span.serial_number(x509.random_serial_number())


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)  # Signs certificates and lists.
    builder = _certificate("Zuruf test authority", key, "Zuruf test authority")
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())


def _server(key: ec.EllipticCurvePrivateKey, ca_key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))])
    builder = _certificate("localhost", key, "Zuruf test authority").add_extension(names, critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    return builder.add_extension(issuer, critical=False).sign(ca_key, hashes.SHA256())


def make_sasl_ssl(folder: Path, user: str = "zuruf", password: str = 'geh"eim;ü\\') -> SaslSsl:
    """Write ``ca.pem`` and ``server.pem`` into ``folder`` and return what a broker needs to use them."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(pem, pkcs8, serialization.NoEncryption())
    authority = _authority(ca_key).public_bytes(pem)
    (folder / "ca.pem").write_bytes(authority)
    (folder / "server.pem").write_bytes(private + _server(key, ca_key).public_bytes(pem) + authority)
    return SaslSsl(user=user, password=password, key_file=folder / "server.pem", ca_file=folder / "ca.pem")
