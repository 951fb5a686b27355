"""What a call does when a provider fails, falls silent or is slow: the policies, and what is known of each target."""
