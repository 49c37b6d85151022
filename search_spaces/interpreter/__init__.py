"""Graphs run by torch, operator by operator."""
