"""What was paid, for what, by whom: rows that never change, and everything that is worked out from them."""
