"""Losses and the trainers."""
