"""What an agent is: declared as resources, resolved into a profile that a session pins."""
