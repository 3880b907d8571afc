"""What client and server must agree on. Imports nothing of ours."""

from creamery.contract.build_key import DECLARED, BadBuild, Build, declared, key_of_name, read_build
from creamery.contract.digest import Digest, NotADigest, digest_of, parse_digest
from creamery.contract.fitting import why_foreign
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
    "DECLARED",
    "MAX_NAME_LENGTH",
    "BadBuild",
    "Build",
    "Digest",
    "Distribution",
    "InvalidName",
    "NotADigest",
    "ProjectName",
    "check_filename",
    "declared",
    "digest_of",
    "key_of_name",
    "normalize",
    "parse_digest",
    "parse_filename",
    "read_build",
    "ultranormalize",
    "version_text",
    "why_foreign",
]
