"""Who may reload and record: clients on this machine, or those that know the token; no other site's page."""

from __future__ import annotations

import hmac
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from aslspark.common.errors import AslsparkError

OF_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})
TOKEN = "ASLSPARK_TOKEN"
LEAST_TOKEN = 16
FORWARDED = (
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "cf-connecting-ip",
    "true-client-ip",
)
"""Headers by which a proxy says that it forwards a request."""


@dataclass(frozen=True)
class Keys:
    """Who may reload and record."""

    token: str | None = None
    """Clients that know it may, from anywhere; without a token, only this machine may."""
    proxied: bool = False
    """All requests come through a proxy, so that none counts as this machine's."""

    def open_to(self, client: str | None, headers: Mapping[str, str]) -> bool:
        """Tell whether a request may reload and record.

        Parameters
        ----------
        client : str, optional
            Address of the client.
        headers : mapping
            Lower-case names.
        """
        if of_another_site(headers):
            return False
        if self.token is not None:
            scheme, _, token = headers.get("authorization", "").partition(" ")
            return scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), self.token.encode())
        return not self.proxied and local_page(client, headers)


def token_of(file: str | None) -> str | None:
    """Read the token from a file or from $ASLSPARK_TOKEN; None where there is neither.

    Raises
    ------
    AslsparkError
        Where the file cannot be read, or the token is too short or not printable ASCII.
    """
    subject, token = f"--token-file {file}:", os.environ.get(TOKEN)
    if file is None:
        subject = f"${TOKEN} has"  # after a colon, the number would be masked as a secret
    else:
        try:
            token = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            cause = getattr(error, "strerror", None) or "no UTF-8"
            raise AslsparkError(f"{subject} {cause}; give a file that holds the token alone") from error
    if token is None:
        return None
    if len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise AslsparkError(
            f"{subject} {len(token)} characters; give {LEAST_TOKEN} or more of ASCII without blanks, "
            "as from: openssl rand -hex 32"
        )
    return token


def from_this_machine(client: str | None) -> bool:
    """Tell whether a client's address is a loopback address."""
    try:
        return ipaddress.ip_address(client or "").is_loopback
    except ValueError:
        return False


def of_another_site(headers: Mapping[str, str]) -> bool:
    """Tell whether a browser sends the request for another site's page; other clients send no Origin."""
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc != headers.get("host", "")
    except ValueError:
        return True


def local_page(client: str | None, headers: Mapping[str, str]) -> bool:
    """Tell whether a request comes from this machine, under a local name, not through a proxy nor from another site.

    The name is checked because another site may let its own name resolve to this machine's address.
    """
    try:
        name = urlsplit(f"//{headers.get('host', '')}").hostname
    except ValueError:
        return False
    if any(header in headers for header in FORWARDED):
        return False
    return from_this_machine(client) and name in OF_THIS_MACHINE and not of_another_site(headers)
