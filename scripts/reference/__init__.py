"""The pages under docs/reference/, one module per page. Each takes what it needs of the city and returns Markdown."""
