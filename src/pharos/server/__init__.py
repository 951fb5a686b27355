"""The front door: composition root, HTTP, MCP, and the other faces of operations."""
