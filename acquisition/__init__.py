"""The acquisition service: it moves readings from instruments to the record and to people, and knows no instrument by name."""
