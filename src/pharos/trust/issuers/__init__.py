"""Callers that others vouch for: tokens of identity providers, by their public keys."""
