"""What happens in the simulated city: one file a hazard, each a state that is stepped and can be acted upon."""
