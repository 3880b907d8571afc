"""What all doors share on the wire: routes, conditions, ranges, sending, errors, and the application around them.

A door only chooses what it answers and how an error looks in its protocol.
"""

from creamery.http.addresses import Proxies, base_url, client_address, is_local_path
from creamery.http.api import Api, Bound
from creamery.http.application import Application, Refusal
from creamery.http.conditionals import (
    etag_matches,
    etag_matches_strongly,
    header_of,
    if_range_holds,
    is_not_modified,
    precondition,
    quoted,
)
from creamery.http.cookies import DEVICE, SESSION, SIGN_IN, read_cookie, set_cookie
from creamery.http.exchange import ClientGone, Exchange, TransferBroken, exchange_of, note
from creamery.http.forgery import refuse_other_sites
from creamery.http.gate import WRONG, Gate, by_of, presented_by, principal_of, unauthorized
from creamery.http.negotiation import negotiate, negotiate_encoding
from creamery.http.parts import PartsResponse
from creamery.http.problems import Problem, printable, render_problem, saying
from creamery.http.protocol import Wire
from creamery.http.ranges import ByteRange, RangeNotSatisfiable, parse_range
from creamery.http.receive import Begin, Form, ReceivedFile, receive_bytes, receive_file, receive_form
from creamery.http.request_log import AccessLog, access_log, begin_log
from creamery.http.routing import PUBLIC, Endpoint, Needs, Route, Router
from creamery.http.send import BlobResponse, BytesResponse, FollowResponse, HeldResponse, RawHeaders, Source, moved
from creamery.http.strangers import Strangers
from creamery.http.zerocopy import SharedBytes

__all__ = [
    "DEVICE",
    "PUBLIC",
    "SESSION",
    "SIGN_IN",
    "WRONG",
    "AccessLog",
    "Api",
    "Application",
    "Begin",
    "BlobResponse",
    "Bound",
    "ByteRange",
    "BytesResponse",
    "ClientGone",
    "Endpoint",
    "Exchange",
    "FollowResponse",
    "Form",
    "Gate",
    "HeldResponse",
    "Needs",
    "PartsResponse",
    "Problem",
    "Proxies",
    "RangeNotSatisfiable",
    "RawHeaders",
    "ReceivedFile",
    "Refusal",
    "Route",
    "Router",
    "SharedBytes",
    "Source",
    "Strangers",
    "TransferBroken",
    "Wire",
    "access_log",
    "base_url",
    "begin_log",
    "by_of",
    "client_address",
    "etag_matches",
    "etag_matches_strongly",
    "exchange_of",
    "header_of",
    "if_range_holds",
    "is_local_path",
    "is_not_modified",
    "moved",
    "negotiate",
    "negotiate_encoding",
    "note",
    "parse_range",
    "precondition",
    "presented_by",
    "principal_of",
    "printable",
    "quoted",
    "read_cookie",
    "receive_bytes",
    "receive_file",
    "receive_form",
    "refuse_other_sites",
    "render_problem",
    "saying",
    "set_cookie",
    "unauthorized",
]
