"""Providers as they run: connections, deadlines, breakers, conditions."""
