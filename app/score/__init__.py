"""Scored runs: simulators give frames and truth, the product eats the frames, what came out is compared."""
