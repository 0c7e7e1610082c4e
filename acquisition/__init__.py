"""The acquisition service: from instruments to the record and to people, knowing no instrument by name."""
