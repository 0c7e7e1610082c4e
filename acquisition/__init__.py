"""The acquisition service: from instruments to the record and to people, knowing no instrument by name."""

__version__ = "0.1.0"
