"""The engines: what does the tasks of a command, in this process, in workers, on Ray or on SLURM."""
