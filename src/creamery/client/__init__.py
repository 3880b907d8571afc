"""What runs on other people's machines: it asks a hub over HTTP, and imports nothing of the hub's but `contract`.

`Hub` is a hub as commands ask it; `client/wire.py` alone opens sockets, and `client/uv.py` alone runs another program.
Everything else here reads what it is given.
"""

from creamery.client.address import HubAddress, User, parse_address
from creamery.client.choosing import chosen_files
from creamery.client.credentials import Credentials, Sources, find_credentials
from creamery.client.errors import HubError, HubUnreachable, NotAHub, Refused, UnusableInput
from creamery.client.lockfile import Chosen, ChosenFile
from creamery.client.targets import Target
from creamery.client.wire import Hub, Patience

__all__ = [
    "Chosen",
    "ChosenFile",
    "Credentials",
    "Hub",
    "HubAddress",
    "HubError",
    "HubUnreachable",
    "NotAHub",
    "Patience",
    "Refused",
    "Sources",
    "Target",
    "UnusableInput",
    "User",
    "chosen_files",
    "find_credentials",
    "parse_address",
]
