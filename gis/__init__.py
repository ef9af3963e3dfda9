"""Where things are: coordinates, city assets, pipe and road networks, places, tiles, importers."""
