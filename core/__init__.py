"""Bottom room: what every other room stands on. Imports no other room."""
