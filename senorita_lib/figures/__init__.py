"""Figures and widgets of the notebooks and the README."""
