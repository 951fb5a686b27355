"""Where agents live: what they are (``profiles``), and their sessions as durable state machines."""
