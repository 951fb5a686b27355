"""What should be: the catalog of resources, the one way to change it, undo, and the index of the system."""
