"""Answers questions from the source of Python's standard library: plain functions, no Dagger inside."""
