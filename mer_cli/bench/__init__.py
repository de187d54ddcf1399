"""Measure how fast this machine trains: our training beside a plain one, and both beside the machine's ceilings.

A speed is a ratio of two things measured in turns in one run, because seconds alone say little about a program.
"""
