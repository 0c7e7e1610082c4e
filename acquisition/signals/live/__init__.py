"""Indices as samples come: streaming counterparts, held against those over whole arrays."""
