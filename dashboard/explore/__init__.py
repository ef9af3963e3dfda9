"""The analysis page `/explore`: any point over time, several compared, and all points of a quantity on the map."""
