"""Thin adapters that put the search into other tools."""
