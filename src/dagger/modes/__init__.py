"""How a run begins: each a spec and its first event."""
