"""The operations ``sessions.*``: what people and programs can ask of sessions, and see of them."""
