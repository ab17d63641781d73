"""Who asks: this machine or another, this service's page or another site's."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

OF_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})


def from_this_machine(client: str | None) -> bool:
    """Tell whether a client's address is this machine's."""
    try:
        return ipaddress.ip_address(client or "").is_loopback
    except ValueError:
        return False


def of_another_site(headers: Mapping[str, str]) -> bool:
    """Tell whether a browser sends the request for a page of another site; other clients send no Origin."""
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host", "")


def local_page(client: str | None, headers: Mapping[str, str]) -> bool:
    """Tell whether a request comes from this machine, by a name of this machine, and from no other site.

    The name counts, since another site may give its own name this machine's address.
    """
    try:
        name = urlsplit(f"//{headers.get('host', '')}").hostname
    except ValueError:
        return False
    return from_this_machine(client) and name in OF_THIS_MACHINE and not of_another_site(headers)
