"""What runs in a pod of clients: it starts the observers as a harness on the same host would, and answers its harness.

`python -m load.inside` finds the plan, the database password and a token in the directory DRAINPROOF_CLIENT_FILES
(a mounted Secret: plan.json, password, token), writes below DRAINPROOF_CLIENT_SCRATCH, and serves one HTTP port at
DRAINPROOF_CLIENT_ADDRESS for the harness alone: reports as one long answer, orders, the clock, and all
files at the end.
"""
