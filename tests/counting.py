"""What the processes of a bench do in its test; imports little, for each process imports it."""


def counting(config, step):
    """Count up by `step`; the third time with a step of 1 ends the process."""
    state = [0]

    def act():
        state[0] += step
        if state[0] > 2:
            raise SystemExit

    return act
