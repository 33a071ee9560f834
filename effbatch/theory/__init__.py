"""The mathematics: plain NumPy that broadcasts, no torch."""
