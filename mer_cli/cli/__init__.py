"""Read what a user typed, call the library, and print the results: one module for each group of commands.

Results go to stdout, progress and notes to stderr. Heavy libraries are imported inside the commands, so that `mer
--help` is fast.
"""
