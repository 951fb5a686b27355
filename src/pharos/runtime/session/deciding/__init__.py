"""What follows from a state, by subject. Every function writes what it decides into a draft."""
