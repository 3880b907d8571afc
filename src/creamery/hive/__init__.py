"""The hive: a tree of files that people and programs share, over WebDAV."""

__all__ = ()
