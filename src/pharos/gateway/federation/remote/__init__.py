"""Agents elsewhere: whose card is trusted, how they are called, and how their tasks' ends come back."""
