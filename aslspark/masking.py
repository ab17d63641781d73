"""Keys and passwords out of text: what is printed, logged or written passes through `shown`.

In: paths, settings, messages. Out: the same with *** where a secret stood. It is not in `paths`, since errors use it.
"""

from __future__ import annotations

import logging
import re
from typing import Any

MASK = "***"

_LONGEST_NAME = 120
_SECRETS = (
    *("password", "passwd", "passphrase", "secret", "token", "signature", "credential", "credentials", "authorization"),
    *("accesskey", "accesskeyid", "accountkey", "apikey", "privatekey", "secretkey", "sharedkey", "subscriptionkey"),
)
"""How the name of a parameter or a setting ends that holds a secret, without what stands between its words."""
_SHORT_WORDS = ("sig", "sas", "pwd")
"""So short that they must be a word of their own, or the last of several: X-sig, not misig."""

# user:password@ and token@ before the host; a port is no password.
_IN_ADDRESS = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]{0,30}://)"
    r"([^\s/@:'\"]{0,500}:(?!\d{1,5}/)[^\s'\"]{1,500}|[^\s/@:'\"]{1,500})@(?![^\s/'\"]*@)"
)
_CONTAINERS = ("wasb://", "wasbs://", "abfs://", "abfss://")
"""Azure's stores, where a container's name stands before the @."""

# ?sig=... and &token=..., ;password=... of JDBC, AccountKey=... of Azure,
# `password: ...` of YAML, "token": "..." of JSON.
_IS = re.compile(r"[\"']?\s?[=:]\s?[\"']?")
_NAME = re.compile(rf"[A-Za-z0-9_.\-]{{1,{_LONGEST_NAME}}}$")
_VALUE = re.compile(r"(?:(?:Bearer|Basic)\s)?[^\s&;,'\"<>)}\]]{1,4000}")
_OF_AN_ACCOUNT = re.compile(r"account\.key\.[a-z0-9.\-]+$")


def shown(text: str) -> str:
    """Mask what must not be seen in a text.

    Masked are what stands before the host of an address (``s3a://KEY:SECRET@bucket``), and the values of
    parameters that are called like a secret: ``?sig=``, ``&token=``, ``X-Amz-Signature=``, ``AccountKey=``,
    ``;password=``. What is masked already stays as it is.

    Parameters
    ----------
    text : str
        A path, a message, or anything that may hold some.
    """
    if "=" in text or ":" in text:
        text = _without_values(text)
    # After the values: an @ in one of them ends no address.
    return _IN_ADDRESS.sub(_masked_address, text) if "@" in text else text


def _without_values(text: str) -> str:
    parts, done = [], 0
    for sign in _IS.finditer(text):
        name = _NAME.search(text, max(0, sign.start() - _LONGEST_NAME), sign.start())
        if sign.start() < done or name is None or not _is_secret(name.group()):
            continue
        if value := _VALUE.match(text, sign.end()):
            parts += [text[done : sign.end()], MASK]
            done = value.end()
    return "".join([*parts, text[done:]])


def _masked_address(found: re.Match[str]) -> str:
    scheme, before = found.groups()
    return found.group() if scheme.lower() in _CONTAINERS and ":" not in before else f"{scheme}{MASK}@"


def _is_secret(name: str) -> bool:
    """Tell by its name whether a setting or a parameter holds a secret."""
    name = name.lower()
    last = re.split(r"[^a-z0-9]", name)[-1]
    if last in _SHORT_WORDS or _OF_AN_ACCOUNT.search(name):
        return True
    together = re.sub(r"[^a-z0-9]", "", name)
    return together.endswith(_SECRETS)


def shown_all(value: Any) -> Any:
    """Mask every text in a table of settings or a report, and whatever lies under a name of a secret.

    Parameters
    ----------
    value : anything that JSON takes
    """
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, dict):
        return {
            shown(key) if isinstance(key, str) else key: MASK
            if isinstance(key, str) and isinstance(part, str) and part and _is_secret(key)
            else shown_all(part)
            for key, part in value.items()
        }
    if isinstance(value, list | tuple):
        return [shown_all(part) for part in value]
    return value


class _Masked(logging.Filter):
    """Masks what is logged, with its traceback, before any handler sees it."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = shown(record.getMessage()), None
        if record.exc_info:
            record.exc_text = shown(logging.Formatter().formatException(record.exc_info))
        return True


def mask_logs() -> None:
    """Mask what goes to the logger "aslspark", once."""
    logger = logging.getLogger("aslspark")
    if not any(isinstance(known, _Masked) for known in logger.filters):
        logger.addFilter(_Masked())
