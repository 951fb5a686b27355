"""What agents can do: tools from several sources as one, Python functions as tools, and plugins."""
