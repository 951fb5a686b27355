"""Requests in fewer tokens: what a prompt says twice, or in more words than it needs, is said once and kept here."""
