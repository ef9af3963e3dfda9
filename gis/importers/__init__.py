"""From files of other people to assets: one file a format, one check for all, and a report of what was refused."""
