r"""A cluster over two hosts that encrypts what travels and refuses strangers, by TLS.

Dask's messages hold pickled functions: whoever can reach a scheduler without TLS can run code on
all its workers. With TLS, both ends of each connection show a certificate of one authority, which
is yours alone. First make certificates for the hosts, where you like:

    python tls.py certificates keys host-a host-b

Copy keys/authority.pem, keys/NAME.pem and keys/NAME.key to each host NAME (never authority.key),
and start the scheduler on the first, workers on both:

    host-a$ dask scheduler --protocol tls --port 8786 --tls-ca-file keys/authority.pem \
              --tls-cert keys/host-a.pem --tls-key keys/host-a.key
    host-a$ dask worker tls://host-a:8786 --nworkers 1 --nthreads 32 --tls-ca-file \
              keys/authority.pem --tls-cert keys/host-a.pem --tls-key keys/host-a.key
    host-b$ dask worker tls://host-a:8786 --nworkers 1 --nthreads 32 --tls-ca-file \
              keys/authority.pem --tls-cert keys/host-b.pem --tls-key keys/host-b.key

Then compute from a host that has certificates too:

    python tls.py run tls://host-a:8786 keys host-a

``python tls.py try`` does all of it on this machine, with certificates for a day.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import ipaddress
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from distributed import Client
from distributed.security import Security

import gprat
from gprat.kernels import RBF

AUTHORITY = "authority"


def make_certificates(folder: Path, hosts: list[str], days: int) -> None:
    """Write an authority, and a certificate and key that it has signed for each host."""
    folder.mkdir(parents=True, exist_ok=True)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _sign("gprat cluster", authority_key, None, authority_key, days)
    _write(folder, AUTHORITY, authority, authority_key)
    for host in hosts:
        key = ec.generate_private_key(ec.SECP256R1())
        _write(folder, host, _sign(host, key, authority, authority_key, days), key)


def _sign(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    days: int,
) -> x509.Certificate:
    """Return a certificate; without an issuer, that of an authority."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name.replace(" ", "-"))
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def _write(
    folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    encoding = serialization.Encoding.PEM
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(encoding))
    file = folder / f"{name}.key"
    file.touch(mode=0o600)  # before there is anything to read in it
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file.write_bytes(key.private_bytes(encoding, *private))


def security_of(folder: Path, host: str) -> Security:
    """Return what a client on this host shows and expects."""
    return Security(
        tls_ca_file=str(folder / f"{AUTHORITY}.pem"),
        tls_client_cert=str(folder / f"{host}.pem"),
        tls_client_key=str(folder / f"{host}.key"),
        require_encryption=True,
    )


def compute(address: str, security: Security) -> None:
    """Train and predict on the cluster."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-3.0, 3.0, (1000, 2))
    y = np.sin(X[:, 0]) * np.cos(X[:, 1]) + 0.1 * rng.standard_normal(1000)
    with Client(address, security=security, timeout=120) as client:
        client.wait_for_workers(1)
        gp = gprat.GP(X, y, RBF(1.0), noise=0.01, engine="cluster", client=client)
        gp.optimize(max_iter=5)
        mean, variance = gp.predict_with_uncertainty([[0.5, 0.5]])
        workers = ", ".join(sorted(client.nthreads()))
    print(f"computed on {workers}: {mean[0]:.4f} ± {np.sqrt(variance[0]):.4f}")


@contextlib.contextmanager
def started(folder: Path, workers: int) -> Iterator[str]:
    """Start the commands above on this machine, scheduler and workers each a process."""
    host = "127.0.0.1"
    file = folder / "scheduler.json"
    tls = ["--tls-ca-file", folder / f"{AUTHORITY}.pem"]
    tls += ["--tls-cert", folder / f"{host}.pem", "--tls-key", folder / f"{host}.key"]
    with contextlib.ExitStack() as stack:

        def start(command: str, *options: object) -> None:
            program = [sys.executable, "-m", "dask", command, *map(str, [*options, *tls])]
            process = subprocess.Popen(program, stderr=subprocess.DEVNULL, cwd=folder)
            stack.callback(process.wait)
            stack.callback(process.terminate)

        start("scheduler", "--protocol", "tls", "--host", host, "--port", "0", "--no-dashboard",
              "--scheduler-file", file)  # fmt: skip
        while not file.exists():
            time.sleep(0.1)
        with Client(scheduler_file=str(file), security=security_of(folder, host)) as client:
            address = str(client.scheduler.address)
        for _ in range(workers):
            start("worker", address, "--host", host, "--nworkers", "1", "--nthreads", "1",
                  "--no-dashboard")  # fmt: skip
        yield address


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    certificates = commands.add_parser("certificates", help="make them")
    certificates.add_argument("folder", type=Path)
    certificates.add_argument("hosts", nargs="+", help="names or addresses")
    certificates.add_argument("--days", type=int, default=90, help="for which they are good")
    run = commands.add_parser("run", help="compute on a cluster")
    run.add_argument("address", help="of the scheduler, tls://…")
    run.add_argument("folder", type=Path, help="of the certificates")
    run.add_argument("host", help="whose certificate is shown")
    commands.add_parser("try", help="all of it on this machine")
    arguments = parser.parse_args()
    if arguments.command == "certificates":
        make_certificates(arguments.folder, arguments.hosts, arguments.days)
    elif arguments.command == "run":
        compute(arguments.address, security_of(arguments.folder, arguments.host))
    else:
        with tempfile.TemporaryDirectory() as name:
            make_certificates(Path(name), ["127.0.0.1"], days=1)
            with started(Path(name), workers=2) as address:
                compute(address, security_of(Path(name), "127.0.0.1"))


if __name__ == "__main__":
    main()
