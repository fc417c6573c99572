"""Answers how a text reads: its words, its characters and its SHA-256."""
