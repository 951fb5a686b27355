"""Notifications of A2A (section 3.1.7 and following): who wants them, what is sent, and where nothing is sent."""
