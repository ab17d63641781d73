"""Masks keys and passwords in whatever is printed, logged or written.

In: paths, settings, messages. Out: the same with *** in place of each secret.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TextIO, cast

from aslspark.common.terminal_line import line_set_aside

MASK = "***"

_LONGEST_NAME = 120
_SECRETS = (
    *("password", "passwd", "passphrase", "secret", "token", "signature", "credential", "credentials", "authorization"),
    *("accesskey", "accesskeyid", "accountkey", "apikey", "privatekey", "secretkey", "sharedkey", "subscriptionkey"),
    *("encryptionkey", "signingkey", "masterkey", "storagekey", "sharedaccesssignature", "clientsecretvalue"),
)
"""Endings of names whose values are secrets, without the signs between words."""
_SHORT_WORDS = ("sig", "sas", "pwd")
"""Too short for an ending: they must be the last word of a name, as in X-sig, not misig."""
_SHORT_AND_COMMON = ("pass", "auth")
"""The same, and common in prose: they count before `=`, as in `pass=...`, not in `pass: 3 rows`."""

# user:password@ and token@ before the host; a port is no password.
_IN_ADDRESS = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]{0,30}://)"
    r"([^\s/@:'\"]{0,500}:(?!\d{1,5}/)[^\s'\"]{1,500}|[^\s/@:'\"]{1,500})@(?![^\s/'\"]*@)"
)
_CONTAINERS = ("wasb://", "wasbs://", "abfs://", "abfss://")
"""Addresses of Azure's stores: the name before the @ is a container's, no secret."""
# user/password@ in Oracle's JDBC addresses, which have no //.
_OF_ORACLE = re.compile(r"(jdbc:oracle:[a-z0-9]{1,10}:)[^\s@'\"]{1,500}@", re.IGNORECASE)
# Whoever knows the address of a webhook may post to it: all after its fixed beginning is secret.
_WEBHOOK = re.compile(
    r"(https?://(?:hooks\.[^\s/'\"<>]{1,255}/[a-z]{1,20}/"
    r"|[^\s/'\"<>]{1,255}/(?:[\w.-]{1,40}/){0,2}(?:webhooks?|webhookb2|hooks)/"
    r"|api\.telegram\.org/bot))[^\s'\"<>)\]}]{1,2000}",
    re.IGNORECASE,
)
# Keys with known beginnings: AWS (with the secret key that follows it in lists), GitHub,
# Slack, Databricks, Hugging Face, Google, OpenAI, JSON Web Tokens, PEM.
_KNOWN_FORMS = re.compile(
    r"(?<![A-Za-z0-9_])(?:"
    r"A(?:KIA|SIA|ROA|IDA)[0-9A-Z]{16}(?:[\s,:;'\"]{1,4}[A-Za-z0-9/+]{40})?"
    r"|gh[opsur]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,255}|dapi[0-9a-f]{32}(?:-\d)?|hf_[A-Za-z0-9]{20,255}"
    r"|AIza[A-Za-z0-9_-]{35}|sk-[A-Za-z0-9_-]{20,255}"
    r"|eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{4,4000}\.[A-Za-z0-9_-]{0,4000})"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]{0,20000}(?:-----END [A-Z ]{0,30}PRIVATE KEY-----)?"
)
_BEARER = re.compile(r"\b(Bearer\s{1,3}|bearer\s{1,3}(?=\S{0,200}\d))[A-Za-z0-9._~+/=-]{6,4000}")
# --password X and ['--password', 'X']; --password=X is matched as a parameter.
_OPTION = re.compile(
    rf"(?<![\w-])(--?([A-Za-z][\w.-]{{0,{_LONGEST_NAME}}})(?:['\"],?)?\s{{1,4}}['\"]?)(?!-)([^\s'\",]{{1,4000}})"
)

# ?sig=... and &token=..., ;password=... of JDBC, AccountKey=... of Azure,
# `password: ...` of YAML, "token": "..." of JSON.
_IS = re.compile(r"(?:\\?[\"'])?[ \t]{0,20}[=:][ \t]{0,20}(?P<quote>(?:\\?[\"'])?)")
_NAME = re.compile(rf"[A-Za-z0-9_.\-]{{1,{_LONGEST_NAME}}}$")
_VALUE = re.compile(r"(?:(?:Bearer|Basic)\s)?[^\s&;,'\"<>)}\]]{1,4000}")
_QUOTED = {quote: re.compile(rf"(?:\\.|[^{quote}\\\n]){{1,4000}}") for quote in "\"'"}
_ESCAPED = re.compile(r"[^\\\n]{1,4000}")
"""A value in JSON within JSON."""
_LINE = re.compile(r"[^\n#&;,'\"<>)}\]]{0,4000}[^\s#&;,'\"<>)}\]]")
"""A value that reaches to the end of its line: a passphrase may have spaces."""
_BEGINS_LINE = re.compile(r"(?:^|\n)[ \t-]{0,40}[\"']?$")
_OF_AN_ACCOUNT = re.compile(r"account\.key\.[a-z0-9.\-]+$")
_ROUNDS = 4
"""Masking one secret may expose another, which the next round masks."""


def redact(text: str) -> str:
    """Mask the secrets in a text.

    These are user and password in an address (``s3a://KEY:SECRET@bucket``, ``mysql+pymysql://u:p@host``,
    ``jdbc:oracle:thin:u/p@host``); the values of parameters, settings and options with the name of a secret
    (``?sig=``, ``&token=``, ``X-Amz-Signature=``, ``AccountKey=``, ``;password=``, ``password: ...``, ``--token ...``);
    bearer tokens; the paths of webhooks; and keys of known forms (``AKIA...``, ``ghp_...``, ``dapi...``, PEM). A
    redacted text stays as it is.
    """
    for _ in range(_ROUNDS):
        masked = _once(text)
        if masked == text:
            break
        text = masked
    return text


def _once(text: str) -> str:
    if "=" in text or ":" in text:
        text = _without_values(text)
    if "-" in text:
        text = _OPTION.sub(_masked_option, text)
    if "://" in text:
        text = _WEBHOOK.sub(rf"\1{MASK}", text)
    # After the values, since an @ within a value ends no address.
    if "@" in text:
        text = _IN_ADDRESS.sub(_masked_address, _OF_ORACLE.sub(rf"\1{MASK}@", text))
    text = _BEARER.sub(rf"\1{MASK}", text)
    return _KNOWN_FORMS.sub(MASK, text)


def _without_values(text: str) -> str:
    parts, done = [], 0
    for sign in _IS.finditer(text):
        name = _NAME.search(text, max(0, sign.start() - _LONGEST_NAME), sign.start())
        if sign.start() < done or name is None or not _is_secret(name.group(), "=" in sign.group()):
            continue
        value = _value(text, sign, name)
        if value:
            parts += [text[done : sign.end()], MASK]
            done = value.end()
    return "".join([*parts, text[done:]])


def _value(text: str, sign: re.Match[str], name: re.Match[str]) -> re.Match[str] | None:
    quote = sign["quote"]
    if quote:
        return (_QUOTED[quote] if len(quote) == 1 else _ESCAPED).match(text, sign.end())
    if ":" in sign.group() and _BEGINS_LINE.search(text, max(0, name.start() - 50), name.start()):
        return _LINE.match(text, sign.end()) or _VALUE.match(text, sign.end())
    return _VALUE.match(text, sign.end())


def _masked_option(match: re.Match[str]) -> str:
    return f"{match[1]}{MASK}" if _is_secret(match[2]) else match.group()


def _masked_address(match: re.Match[str]) -> str:
    scheme, user = match.groups()
    return match.group() if scheme.lower() in _CONTAINERS and ":" not in user else f"{scheme}{MASK}@"


def _is_secret(name: str, is_parameter: bool = True) -> bool:
    """Tell by the name of a setting or parameter whether its value is a secret."""
    name = name.lower()
    last = re.split(r"[^a-z0-9]", name)[-1]
    if last in _SHORT_WORDS or (is_parameter and last in _SHORT_AND_COMMON) or _OF_AN_ACCOUNT.search(name):
        return True
    together = re.sub(r"[^a-z0-9]", "", name)
    return together.endswith(_SECRETS)


def redact_all(value: Any) -> Any:
    """Mask every text in settings or a report, and every value whose name is that of a secret."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {
            redact(key) if isinstance(key, str) else key: _hidden(part)
            if isinstance(key, str) and _is_secret(key)
            else redact_all(part)
            for key, part in value.items()
        }
    if isinstance(value, list | tuple):
        return [
            _hidden(part) if _names_secret(before) else redact_all(part)
            for before, part in zip([None, *value], value, strict=False)
        ]
    return value


def _names_secret(word: Any) -> bool:
    """Tell whether a word of a command line is an option whose value, the next word, is a secret."""
    return isinstance(word, str) and re.fullmatch(r"--?[A-Za-z][\w.-]*", word) is not None and _is_secret(word)


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {redact(key) if isinstance(key, str) else key: _hidden(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden(part) for part in value]
    return value if value in (None, "") or isinstance(value, bool) else MASK


def mask_record(record: logging.LogRecord) -> bool:
    """Mask a log record and its traceback in place; a logging filter that lets every record pass.

    The traceback becomes part of the message: a formatter that writes JSON takes the exception's own words otherwise.
    """
    try:
        record.msg, record.args = redact(record.getMessage()), None
    except Exception:  # message and arguments do not fit together; logging reports that when it writes the record
        record.msg = redact(str(record.msg))
    if record.exc_info:
        record.msg = f"{record.msg}\n{redact(logging.Formatter().formatException(record.exc_info))}"
        record.exc_info = record.exc_text = None
    if record.stack_info:
        record.stack_info = redact(record.stack_info)
    return True


class _Masking(logging.Handler):
    """Masks the records of loggers below "aslspark" before the handlers above see them: filters are not inherited."""

    def emit(self, record: logging.LogRecord) -> None:
        mask_record(record)
        # With this handler in place, logging no longer falls back to its last resort by itself.
        last = logging.lastResort
        if last and not logging.getLogger().handlers and record.levelno >= last.level and len(_logger().handlers) == 1:
            last.handle(record)


def _logger() -> logging.Logger:
    return logging.getLogger("aslspark")


def mask_logs() -> None:
    """Mask the records of the logger "aslspark" and of those below it. A second call changes nothing."""
    if not any(isinstance(handler, _Masking) for handler in _logger().handlers):
        _logger().addFilter(mask_record)
        _logger().addHandler(_Masking())


class _MaskedStream(io.TextIOBase):
    """Standard output or standard error; each write is masked by itself."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(redact(text))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        """Leave the wrapped stream open: it belongs to others."""

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    @property
    def buffer(self) -> BinaryIO:
        return self._stream.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]  # an attribute in the base class
        return self._stream.encoding


@contextmanager
def masked_console() -> Iterator[None]:
    """Mask all that Python writes to the console in this context: the job, its libraries, its option parser."""
    with (
        contextlib.redirect_stdout(cast(TextIO, _MaskedStream(sys.stdout))),
        contextlib.redirect_stderr(cast(TextIO, _MaskedStream(sys.stderr))),
    ):
        yield


def say(text: object) -> None:
    """Print a redacted line."""
    with line_set_aside():
        print(redact(str(text)), flush=True)
