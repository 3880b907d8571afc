"""What client and server must agree on. Imports nothing of ours."""

from creamery.contract.digest import Digest, NotADigest, digest_of, parse_digest
from creamery.contract.names import (
    MAX_NAME_LENGTH,
    Distribution,
    InvalidName,
    ProjectName,
    check_filename,
    normalize,
    parse_filename,
    ultranormalize,
    version_text,
)

__all__ = [
    "MAX_NAME_LENGTH",
    "Digest",
    "Distribution",
    "InvalidName",
    "NotADigest",
    "ProjectName",
    "check_filename",
    "digest_of",
    "normalize",
    "parse_digest",
    "parse_filename",
    "ultranormalize",
    "version_text",
]
