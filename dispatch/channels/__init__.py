"""Ways out of the house: each takes a message and either delivers it or says why not."""
