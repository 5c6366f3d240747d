"""Graph and arena plan in, C text out."""
