"""Predict first, train, judge, report: `effbatch validate` from end to end."""
