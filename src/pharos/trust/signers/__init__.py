"""Callers that sign each request with a shared secret, which itself is never sent."""
