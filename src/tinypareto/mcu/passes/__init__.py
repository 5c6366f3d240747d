"""Graph in, graph out: one rewriting pass per file."""
