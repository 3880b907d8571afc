"""Archives that are never written: a tar's or zip's layout as arithmetic over blobs, and its bytes as a stream.

A `Manifest` says what lies in a bundle, `lay_out` where each byte of it is, `chunks` and `parts` bring any range of
them. Nothing here knows of requests, tables or jobs; docs/explanation/bundles.md says how it fits together.
"""

from creamery.bundles.layout import ChecksumUnknown, Layout, Piece, Slice, lay_out
from creamery.bundles.manifest import BadBundle, BadMember, Format, Manifest, Member, Members
from creamery.bundles.reading import Locate, MemberUnreadable, chunks, parts
from creamery.bundles.reshaping import included, reshaped

__all__ = [
    "BadBundle",
    "BadMember",
    "ChecksumUnknown",
    "Format",
    "Layout",
    "Locate",
    "Manifest",
    "Member",
    "MemberUnreadable",
    "Members",
    "Piece",
    "Slice",
    "chunks",
    "included",
    "lay_out",
    "parts",
    "reshaped",
]
