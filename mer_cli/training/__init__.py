"""Train each fold of a run, and store the logits of its held-out clips after every epoch.

Training never sees a held-out label and never chooses an epoch. `evaluation` does both, from what is stored here.
"""
