"""The faces of operations over HTTP: plain JSON, MCP, OpenAPI, and the pages about them."""
