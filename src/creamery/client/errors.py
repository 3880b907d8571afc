"""What can stand in the way when a hub is asked, as sentences for people.

```
HubError
  Refused         the hub says no; its own title, detail and remedy
  HubUnreachable  nobody answers, or nothing came of the answer
  NotAHub         somebody answers, and it is no hub
  Unshareable     a cache takes no wheels such as this one
  UnusableInput   what the command was given cannot be used: address, credentials, a name
```

None of them holds a credential, in any field.
"""

from __future__ import annotations


class HubError(Exception):
    """What was asked of a hub was not done.

    Attributes:
        sentence: what was asked, and what stands in the way.
        remedy: what to do next; empty where nobody knows.
    """

    def __init__(self, sentence: str, remedy: str = "") -> None:
        self.sentence = sentence
        self.remedy = remedy
        super().__init__(f"{sentence} {remedy}".rstrip())


class Refused(HubError):
    """The hub says no, in a problem document (RFC 9457).

    Attributes:
        status: HTTP's number.
        title: the kind of problem.
        detail: what was asked, and what stands in the way; may be empty.
    """

    def __init__(self, status: int, title: str, detail: str = "", remedy: str = "") -> None:
        self.status = status
        self.title = title
        self.detail = detail
        super().__init__(detail or f"The hub answers {status}: {title}.", remedy)


class HubUnreachable(HubError):
    """Nobody answers at the hub's address, or the answer did not come to its end."""


class NotAHub(HubError):
    """What answers at the hub's address does not answer as a hub does."""


class Unshareable(HubError):
    """A cache would not know a wheel from others of its name; it takes others."""


class UnusableInput(HubError):
    """An address, a file with a credential or a name cannot be used as it was given."""
