"""What each event means for the state, by subject. Every function brings the state forward in place."""
