"""Facts and rules: events, state, decisions. No I/O, no asyncio, no clock, no random."""
