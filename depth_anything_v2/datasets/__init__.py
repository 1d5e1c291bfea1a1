"""Readers of depth datasets, one module each, and a renderer of synthetic scenes with exact depth."""
