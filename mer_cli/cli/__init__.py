"""Reads what a user typed, calls the library, and prints what came of it: one module for each group of commands."""
