"""The front door's HTTP: connections and their bounds, TLS, encodings, streams, and who answers a request."""
