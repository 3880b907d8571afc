"""Where this user's programs keep their state: as platformdirs has it, which takes as long as a hub to answer."""

from __future__ import annotations

import os
import sys


def state_folder() -> str:
    """Ours; it need not be there."""
    if sys.platform == "linux" and "ANDROID_ROOT" not in os.environ:
        above = os.environ.get("XDG_STATE_HOME", "").strip() or os.path.expanduser("~/.local/state")  # noqa: PTH111
        return os.path.join(above, "creamery")  # noqa: PTH118 - pathlib costs 3 ms
    import platformdirs  # noqa: PLC0415 - elsewhere alone

    return platformdirs.user_state_dir("creamery", appauthor=False)
