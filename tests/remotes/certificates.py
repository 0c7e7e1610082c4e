"""Certificates for one test: an authority of its own, a broker on loopback, and who it lets in."""

import subprocess

from tests.remotes.servers import binary


class Authority:
    """Signs certificates in a folder; `ca` is its own."""

    def __init__(self, folder, name="authority"):
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.ca, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        _openssl("req", "-x509", *_key(self._key), "-out", self.ca, "-days", "2", "-subj", f"/CN={name}",
                 "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip

    def sign(self, name, alternative="IP:127.0.0.1"):
        """A certificate and its key for a name."""
        certificate, key, request = (self._folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
        extensions = self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternative}\n")
        _openssl("req", *_key(key), "-out", request, "-subj", f"/CN={name}")
        _openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self._key, "-CAcreateserial",
                 "-out", certificate, "-days", "2", "-extfile", extensions)  # fmt: skip
        return certificate, key


def _key(path):
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path)


def _openssl(*arguments):
    subprocess.run([binary("openssl"), *map(str, arguments)], check=True, capture_output=True)
