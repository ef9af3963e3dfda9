"""The command line: `cityops …`, also `python -m app …`. Exit codes: 0 done, 1 failed, 2 wrong use."""
