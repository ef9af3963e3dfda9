"""Platforms that post what their devices said: how each proves that it is the one. Pure.

onenet  `base64(md5(token + nonce + msg))`, in the body beside the message, and in the address when the platform
        verifies it (OneNET, developer manual of HTTP push). What is kept is the message.
token   a secret in the address: CTWing and IoTDA document no signature of what they push; they must come by HTTPS.
hmac    `X-Signature: hex(hmac_sha256(secret, body))`, for platforms that we can ask for it.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from dataclasses import dataclass

import msgspec

from core.settings import Push


@dataclass(frozen=True, slots=True)
class Posted:
    """What came: the body, `?token=` or the bearer token, and `X-Signature`."""

    body: bytes
    token: str = ""
    signature: str = ""


class Envelope(msgspec.Struct):
    """What OneNET posts. `msg` is an object or, from newer products, a text that holds one."""

    msg: msgspec.Raw
    nonce: str = ""
    msg_signature: str = ""
    signature: str = ""


_envelope = msgspec.json.Decoder(Envelope).decode


def proven(push: Push, posted: Posted) -> bytes | None:
    """What is to be read of a post, or None when it does not come from the platform."""
    secret = push.secret.get_secret_value()
    match push.check:
        case "token":
            return posted.body if same(posted.token, secret) else None
        case "hmac":
            wanted = hmac.new(secret.encode(), posted.body, hashlib.sha256).hexdigest()
            return posted.body if same(posted.signature.lower(), wanted) else None
        case "onenet":
            return _from_onenet(secret, posted.body)


def _from_onenet(token: str, body: bytes) -> bytes | None:
    try:
        envelope = _envelope(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    raw = bytes(envelope.msg)
    if raw.startswith(b'"'):
        raw = msgspec.json.decode(raw, type=str).encode()
    given = envelope.msg_signature or envelope.signature
    return raw if same(given, onenet_signature(token, envelope.nonce, raw)) else None


def onenet_signature(token: str, nonce: str, message: bytes) -> str:
    digest = hashlib.md5(token.encode() + nonce.encode() + message)  # noqa: S324 - theirs, we have no choice
    return b64encode(digest.digest()).decode()


def same(given: str, wanted: str) -> bool:
    """Compared without telling by the time it takes how much was right."""
    return hmac.compare_digest(given.encode(), wanted.encode())
