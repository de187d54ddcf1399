"""Takes stores and a configuration, gives a run directory: the held-out clips' logits after every epoch of every fold.

It never sees a held-out label and never chooses an epoch; `evaluation` does, from what is stored here.
"""
