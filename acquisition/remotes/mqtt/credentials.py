"""Credentials of a station at its broker: address, transport and account."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from acquisition.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Account:
    """A broker and how to get in; the password is asked for at each connection and kept nowhere else.

    With `tls` the broker's certificate is checked against `ca_file`, or the system's authorities.
    """

    host: str
    port: int
    user: str | None = None
    password: Callable[[], str] | None = field(default=None, repr=False)
    tls: bool = True
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def check(self) -> None:
        """Raise a ConfigurationError where the password or a certificate cannot be read."""
        if self.password is not None:
            self.password()
        self.context()

    def context(self) -> ssl.SSLContext | None:
        """The TLS settings, None without TLS; ConfigurationError where a file is no certificate or key."""
        if not self.tls:
            return None
        where = f"$.mqtt.ca_file ({self.ca_file})"
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            context.sslsocket_class = _Socket
            if self.cert_file is not None:
                where = f"$.mqtt.cert_file ({self.cert_file}) with key_file ({self.key_file})"
                # A key that asks for a pass phrase would ask a terminal that nobody sits at.
                context.load_cert_chain(self.cert_file, self.key_file, password=lambda: "")
        except (OSError, ValueError) as error:
            remedy = "PEM files, readable by the service, the key without a pass phrase"
            raise ConfigurationError("cannot be used for TLS", where, str(error), remedy) from None
        return context


class _Socket(ssl.SSLSocket):
    """A socket that is closed where the handshake fails, for paho drops it as it is."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise
