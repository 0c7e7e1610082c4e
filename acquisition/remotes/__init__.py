"""Remote copies of the record: each is a cursor over what was accepted, so that an outage is lag and never loss."""
