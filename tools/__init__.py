"""For developers: what this project ships besides weights."""
