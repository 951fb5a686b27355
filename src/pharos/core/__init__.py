"""The words everyone speaks: Resource, Event, Operation, Fault, Principal; and Plane, which brings them together."""
