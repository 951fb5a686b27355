"""Secrets the city keeps for calls to others: sealed under a master key, rotated while it runs."""
