"""What lies in a folder that packages are installed into, by the names of their metadata: `NAME-VERSION.dist-info`.

It is looked at after each installation, so it imports nothing that takes long, and lists the folder once.
"""

from __future__ import annotations

import os

from creamery.client.places import PYTHON, place_words

TYPE_CHECKING = False  # `typing` takes half as long as Python's own start
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_INFO = ".dist-info"


def seen(arguments: Sequence[str], own: Mapping[str, str]) -> str | None:
    """Where there is no doubt: to start uv takes as long as many an installation."""
    words = place_words(arguments)
    if len(words) == len(("--python", "PATH")) and words[0] in PYTHON:
        above = os.path.dirname(os.path.dirname(words[1])) if os.path.isfile(words[1]) else ""  # noqa: PTH113, PTH120
    else:
        above = own.get("VIRTUAL_ENV", "") if not words else ""
    if not above or "UV_PYTHON" in own or not os.path.isfile(os.path.join(above, "pyvenv.cfg")):  # noqa: PTH113, PTH118
        return None
    try:
        pythons = [name for name in os.listdir(os.path.join(above, "lib")) if name.startswith("python")]  # noqa: PTH118, PTH208
    except OSError:
        return None
    found = [os.path.join(above, "lib", name, "site-packages") for name in pythons]  # noqa: PTH118
    found = [folder for folder in found if os.path.isdir(folder)]  # noqa: PTH112
    return found[0] if len(found) == 1 else None


def infos(folder: str) -> dict[str, str]:
    """The metadata's folder of each package, by its name; an environment has one version of each.

    Raises:
        OSError: the folder cannot be listed.
    """
    names = (name for name in os.listdir(folder) if name.endswith(_INFO))  # noqa: PTH208 - see above
    return {_normalised(name.partition("-")[0]): os.path.join(folder, name) for name in names}  # noqa: PTH118


def version_in(info: str) -> str:
    """As the folder's name has it."""
    return os.path.basename(info).removesuffix(_INFO).partition("-")[2]  # noqa: PTH119


def is_direct(info: str) -> bool:
    """Was it installed from a folder, an address or a repository, and not from an index (PEP 610)?"""
    return os.path.exists(os.path.join(info, "direct_url.json"))  # noqa: PTH110, PTH118


def direct_of(folder: str, names: Iterable[str]) -> frozenset[str]:
    """Those of these packages, by their normalised names, that were not installed from an index."""
    try:
        here = infos(folder)
    except OSError:  # nobody is kept from installing by what cannot be told of it
        return frozenset()
    return frozenset(name for name in names if name in here and is_direct(here[name]))


def _normalised(name: str) -> str:
    """As PEP 503 has it; a wheel's own spelling is nearly that."""
    return "-".join(filter(None, name.lower().replace("_", "-").replace(".", "-").split("-")))
