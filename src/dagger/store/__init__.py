"""Where journals live: one file per technology."""
