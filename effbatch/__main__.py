"""`python -m effbatch` is the command line."""

from effbatch.cli import main

main()
