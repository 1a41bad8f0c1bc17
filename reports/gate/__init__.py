"""The gate: runs held against a policy give GO, NO-GO or UNKNOWN, with every reason."""
