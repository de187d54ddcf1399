"""Measure how fast this machine trains: our training beside a plain one, and both beside the machine's ceilings.

Speed is a ratio of two things that were measured in turns in one run, because seconds alone say little of a program.
"""
