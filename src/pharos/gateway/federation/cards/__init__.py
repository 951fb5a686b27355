"""Agents' cards: what they say, and the signatures under them."""
