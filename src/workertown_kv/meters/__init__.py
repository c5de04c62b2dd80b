"""Count what a process does, in plain numbers that other processes may read."""
