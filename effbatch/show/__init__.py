"""Answers, cubes and verdicts -> what people see: charts, pages, reports. Nothing below draws."""
