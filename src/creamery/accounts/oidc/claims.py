"""From the provider's claims to who it is: the name and the groups, by the claims that the settings name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from creamery.accounts.identities import Claimed, InvalidSubject, check_subject
from creamery.accounts.oidc.errors import NotBelieved, NotInGroup
from creamery.sections import Accounts as AccountSettings

EMAIL = "email"

_VERIFIED = "email_verified"


def missing(claims: Mapping[str, Any], settings: AccountSettings) -> bool:
    """Is anything that is needed not among them, so that the provider is to be asked further?"""
    needed = [settings.oidc_name_claim] if settings.oidc_register else []
    needed += [_VERIFIED] if settings.oidc_register and settings.oidc_name_claim == EMAIL else []
    needed += [settings.oidc_groups_claim] if settings.oidc_groups_claim is not None else []
    return any(name not in claims for name in needed)


def subject_of(claims: Mapping[str, Any]) -> str:
    """The provider's own name for them.

    Raises:
        NotBelieved: there is none, or it cannot be one.
    """
    subject = claims.get("sub")
    try:
        return check_subject(subject if isinstance(subject, str) else "")
    except InvalidSubject as error:
        raise NotBelieved(f"its sub is none: {error}") from error


def claimed(issuer: str, claims: Mapping[str, Any], settings: AccountSettings) -> Claimed:
    """Who it is.

    Raises:
        NotBelieved: a claim has not the form that it must have.
        NotInGroup: they are not in the group that may come in.
    """
    groups = _groups(claims, settings.oidc_groups_claim)
    if settings.oidc_group is not None and settings.oidc_group not in groups:
        raise NotInGroup
    return Claimed(issuer, subject_of(claims), _name(claims, settings.oidc_name_claim), groups)


def _name(claims: Mapping[str, Any], claim: str) -> str | None:
    """An address that nobody has verified may be anybody's; and a part of one is no name: two hosts have an `alice`."""
    name = claims.get(claim)
    if not isinstance(name, str) or not name or (claim == EMAIL and claims.get(_VERIFIED) is not True):
        return None
    return name


def _groups(claims: Mapping[str, Any], claim: str | None) -> frozenset[str]:
    value = None if claim is None else claims.get(claim)
    if value is None:
        return frozenset()  # providers leave out what is empty
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise NotBelieved(f"its claim {claim!r} is no list of names")
    return frozenset(names)
