"""What goes over the wire: each shape once, with the meaning of every field."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from creamery.accounts import Group, Principal, Session, Token, User
from creamery.jobs import Changed, JobRow, State
from creamery.journal import Entry
from creamery.operations.api.asking import NAMED, moment

Text = Annotated[str, StringConstraints(max_length=64)]
NewName = Annotated[Text, Field(json_schema_extra=NAMED)]
Password = Annotated[SecretStr, Field(max_length=4_096, description="As it was typed.")]


class Sent(BaseModel):
    """What clients send: nothing but what there is."""

    model_config = ConfigDict(extra="forbid")


class Credentials(Sent):
    """A name and a password."""

    name: Text
    password: Password


class FirstAdministrator(Credentials):
    """Whoever started the hub."""

    link: Annotated[str, StringConstraints(max_length=200)] = Field(description="What `serve` has printed.")


class NewUser(Sent):
    """Somebody to add."""

    name: NewName = Field(description="Letters a to z, digits and . _ @ + -; compared without regard to case.")
    password: Password | None = Field(None, description="Null: nobody gets in with one.")
    is_admin: bool = Field(False, description="An administrator may everything.")


class UserChange(Sent):
    """What is to be different; what is not named stays."""

    password: Password | None = Field(None, description="A new one; all sessions end.")
    is_admin: bool | None = None
    disabled: bool | None = Field(None, description="Keeps somebody out, tokens included.")


class PasswordChange(Sent):
    """One's own password; all other sessions end."""

    current: Password
    new: Password


class NewGroup(Sent):
    """A group to add."""

    name: NewName


class NewToken(Sent):
    """A token to make."""

    name: Text = Field(min_length=1, description="What its user knows it by.")
    scopes: list[Annotated[str, StringConstraints(max_length=200)]] = Field(
        min_length=1, max_length=100, description="What it may at most, such as `index:read`."
    )
    expires: AwareDatetime | None = Field(None, description="When it ends; null: never; left out: in a year.")


class ShownUser(BaseModel):
    """A user."""

    name: str
    is_admin: bool
    disabled: bool
    has_password: bool = Field(description="False: nobody gets in with one.")
    groups: list[str]
    created: datetime

    @classmethod
    def of(cls, user: User) -> ShownUser:
        """As a row has them."""
        return cls(
            name=user.name,
            is_admin=user.is_admin,
            disabled=user.disabled,
            has_password=user.password is not None,
            groups=sorted(user.groups),
            created=moment(user.created),
        )


class ShownPrincipal(BaseModel):
    """Who asks."""

    name: str
    kind: Literal["user", "token"] = Field(description="What made them known.")
    is_admin: bool
    groups: list[str]
    scopes: list[str] | None = Field(description="What the credential is limited to; null: nothing.")
    session: int | None = Field(description="The number of the session, where its cookie came.")
    csrf_token: str | None = Field(description="To be sent as X-CSRF-Token where a browser says no origin.")

    @classmethod
    def of(cls, principal: Principal, csrf_token: str | None) -> ShownPrincipal:
        """As it was made known."""
        return cls(
            name=principal.name,
            kind="token" if principal.kind == "token" else "user",
            is_admin=principal.is_admin,
            groups=sorted(principal.groups),
            scopes=None if principal.scopes is None else [str(scope) for scope in principal.scopes],
            session=principal.session_id,
            csrf_token=csrf_token,
        )


class ShownGroup(BaseModel):
    """A group."""

    name: str
    members: list[str]

    @classmethod
    def of(cls, group: Group) -> ShownGroup:
        """As a row has it."""
        return cls(name=group.name, members=list(group.members))


class ShownToken(BaseModel):
    """A token, without what it opens with."""

    id: int
    name: str
    ending: str = Field(description="Its last characters, to know it by.")
    scopes: list[str]
    expires: datetime | None = Field(description="Null: never.")
    created: datetime
    used: datetime | None = Field(description="The last time, within seconds; null: never yet.")

    @classmethod
    def of(cls, token: Token) -> ShownToken:
        """As a row has it."""
        return cls(**cls.facts(token))

    @staticmethod
    def facts(token: Token) -> dict[str, Any]:
        """The fields' values."""
        return {
            "id": token.id,
            "name": token.name,
            "ending": token.ending,
            "scopes": [str(scope) for scope in token.scopes],
            "expires": None if token.expires is None else moment(token.expires),
            "created": moment(token.created),
            "used": None if token.used is None else moment(token.used),
        }


class MadeToken(ShownToken):
    """A token that was just made."""

    token: str = Field(description="Shown here, once, and kept nowhere.")


class ShownSession(BaseModel):
    """Somebody signed in with a browser."""

    id: int
    means: str = Field(description="What they signed in with: `password`, `first` or `oidc`.")
    address: str = Field(description="Where they signed in from.")
    agent: str = Field(description="The browser's name for itself.")
    created: datetime
    used: datetime = Field(description="The last time, within seconds.")
    expires: datetime
    is_current: bool = Field(description="Is it the one that asks?")

    @classmethod
    def of(cls, session: Session, current: int | None) -> ShownSession:
        """As a row has it."""
        return cls(
            id=session.id,
            means=session.means,
            address=session.address,
            agent=session.agent,
            created=moment(session.created),
            used=moment(session.used),
            expires=moment(session.expires),
            is_current=session.id == current,
        )


class OpenedSession(BaseModel):
    """A sign-in that succeeded; the cookies came with it."""

    id: int
    user: ShownUser
    expires: datetime
    csrf_token: str = Field(description="To be sent as X-CSRF-Token where a browser says no origin.")


class ChangedPassword(BaseModel):
    """A new password; where a session asked, it is a new one, and its cookie came with this."""

    user: ShownUser
    csrf_token: str | None = Field(description="The new session's; null: none asked.")


class Ended(BaseModel):
    """How many sessions have ended."""

    ended: int


class ShownJob(BaseModel):
    """Work for later."""

    id: int = Field(description="Later ones have larger numbers.")
    kind: str = Field(description="What is to be done.")
    state: State = Field(
        description="`new`: it waits; `failed`: its attempts are used up; `canceled`: somebody took it back."
    )
    key: str | None = Field(description="Of one key at most one job waits; null: it has none.")
    payload: dict[str, Any] = Field(description="With what it is to be done.")
    attempts: int = Field(description="How often it has begun.")
    run_at: datetime = Field(description="Not before.")
    created: datetime
    started: datetime | None = Field(description="The last time; null: never yet.")
    finished: datetime | None = Field(description="When it was done, failed or cancelled.")
    error: str | None = Field(description="What its last attempt ended with, where that was no good end.")

    @classmethod
    def of(cls, row: JobRow) -> ShownJob:
        """As a row has it."""
        return cls(
            id=row.id,
            kind=row.kind,
            state=row.state,
            key=row.key,
            payload=dict(row.payload),
            attempts=row.attempts,
            run_at=moment(row.run_at),
            created=moment(row.created),
            started=None if row.started is None else moment(row.started),
            finished=None if row.finished is None else moment(row.finished),
            error=row.error,
        )


class ChangedJobs(BaseModel):
    """What was done to all that match."""

    changed: int = Field(description="How many jobs.")
    more: bool = Field(description="There may be others: ask again.")

    @classmethod
    def of(cls, changed: Changed) -> ChangedJobs:
        """As it was done."""
        return cls(changed=len(changed.jobs), more=changed.more)


class ShownEntry(BaseModel):
    """Something that happened."""

    serial: int = Field(description="Its place in the order, without gaps.")
    at: datetime
    door: str
    action: str
    subject: str = Field(description="What it happened to.")
    actor: str = Field(description="Who did it; `hub` for the hub itself.")
    origin: str = Field(description="The address that it was asked from; empty: not over the network.")
    detail: dict[str, Any]

    @classmethod
    def of(cls, entry: Entry) -> ShownEntry:
        """As a row has it."""
        return cls(
            serial=entry.serial,
            at=moment(entry.at),
            door=entry.door,
            action=entry.action,
            subject=entry.subject,
            actor=entry.actor,
            origin=entry.origin,
            detail=dict(entry.detail),
        )
