"""Takes nothing but the machine, gives how fast it is: our training beside a plain one, and both beside its ceilings.

Speed is told as a ratio of two things that were measured in turns in one run; seconds alone say little of a program.
"""
