"""Tokens of the users of a service, in the transaction of the caller. Only their hashes are kept."""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from storage import checks
from storage.errors import InvalidRecord, UnknownToken
from storage.jobs import random_id
from storage.records import Role, Token
from storage.schema import TokenRow

_SECRET_BYTES = 32

_TOKENS = select(
    TokenRow.id, TokenRow.name, TokenRow.role, TokenRow.created_at, TokenRow.expires_at, TokenRow.revoked_at
)
# Asked with every request, so it is made once.
_ONE = _TOKENS.add_columns(TokenRow.sha256).where(TokenRow.id == bindparam("wanted"))


def create(
    connection: Connection, name: str, role: Role, lifetime: timedelta | None, now: datetime
) -> tuple[Token, str]:
    """Add a token; its text is told this once."""
    if lifetime is not None and lifetime <= timedelta(0):
        raise InvalidRecord(f"a token lasts longer than nothing (got {lifetime})")
    # 256 random bits cannot be guessed, so a plain hash protects them; a slow one is for passwords.
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    token = Token(
        random_id(8), checks.text(name, "the name of a token"), role, now, None if lifetime is None else now + lifetime
    )
    values = {
        "id": token.id,
        "name": token.name,
        "role": role,
        "sha256": _hash(secret),
        "created_at": now,
        "expires_at": token.expires_at,
    }
    connection.execute(insert(TokenRow), values)
    return token, f"nas_{token.id}_{secret}"


def check(connection: Connection, text: str, now: datetime) -> Token | None:
    """The token with this text; None when there is none, or its time is over, or it was revoked."""
    kind, _, rest = text.partition("_")
    token_id, _, secret = rest.partition("_")
    row = connection.execute(_ONE, {"wanted": token_id}).one_or_none()
    if kind != "nas" or row is None or not hmac.compare_digest(row.sha256, _hash(secret)):
        return None
    token = _token(row)
    expired = token.expires_at is not None and token.expires_at <= now
    return None if expired or token.revoked_at is not None else token


def revoke(connection: Connection, token_id: str, now: datetime) -> None:
    """End a token for ever; one that was revoked before stays so."""
    if connection.execute(select(TokenRow.id).where(TokenRow.id == token_id)).one_or_none() is None:
        known = ", ".join(connection.scalars(select(TokenRow.id).order_by(TokenRow.created_at.desc()).limit(5)))
        raise UnknownToken(f"no token {token_id!r}; known: {known or 'none'}")
    still = update(TokenRow).where(TokenRow.id == token_id, TokenRow.revoked_at.is_(None))
    connection.execute(still.values(revoked_at=now))


def newest(connection: Connection) -> list[Token]:
    """All tokens, newest first; never their text."""
    rows = connection.execute(_TOKENS.order_by(TokenRow.created_at.desc(), TokenRow.id))
    return [_token(row) for row in rows]


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _token(row: Row[*tuple[object, ...]]) -> Token:
    return Token(row.id, row.name, Role(row.role), row.created_at, row.expires_at, row.revoked_at)
