"""Training frameworks -> `NoiseScaleTracker`: one thin file each, which imports its framework when it is used."""
