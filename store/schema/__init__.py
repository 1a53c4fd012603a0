"""The tables by area. Rows have no behaviour and never leave `store/`."""
