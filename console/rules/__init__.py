"""Unit tests of policies: input as series, what is expected at which time, and the real service between them."""
