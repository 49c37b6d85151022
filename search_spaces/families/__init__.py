"""The spaces that the field searches, one file each, and the blocks that they share."""
