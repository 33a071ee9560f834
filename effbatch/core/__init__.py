"""What everything stands on: errors, estimates, figures as data, numbers as text, files that are whole or not there."""
