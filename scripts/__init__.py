"""Programs of the project itself: generators of code and pages, the demonstration. Not part of the distribution."""
