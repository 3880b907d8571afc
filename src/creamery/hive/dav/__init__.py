"""WebDAV's own grammar (RFC 4918 and its kin): headers and bodies in, multistatus out. No tables, no routes."""

__all__ = ()
