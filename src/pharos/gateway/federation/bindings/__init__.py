"""The three bindings of A2A: JSON-RPC, HTTP+JSON and gRPC, and what they share."""
