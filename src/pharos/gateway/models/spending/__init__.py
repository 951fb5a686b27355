"""What a call may use, what it reserves, what it costs."""
