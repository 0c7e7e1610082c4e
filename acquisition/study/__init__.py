"""Studies: the sessions of some records together, and the table of a trial."""
