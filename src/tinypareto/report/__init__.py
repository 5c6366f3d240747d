"""Plots and the page that a study leaves behind."""
