"""The machine below: time, chance, threads, the disk. Nobody else touches them, so that they can be others: a simulation's."""
