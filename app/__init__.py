"""Top room: command line, HTTP factory, auth, wiring, process lifecycle. It alone knows all others."""
