"""Vital signs (城市体征): declared by the domains, evaluated in one place, stored as history."""
