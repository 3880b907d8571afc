"""Signing in with OpenID Connect, as browsers do it."""

from creamery.operations.oidc.refusals import refusals
from creamery.operations.oidc.routes import Routes

__all__ = ["Routes", "refusals"]
