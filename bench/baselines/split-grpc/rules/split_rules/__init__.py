"""The rules service of the split baseline."""
