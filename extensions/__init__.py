"""The extensions shipped with Sloth CI, found through entry points like anybody else's."""
