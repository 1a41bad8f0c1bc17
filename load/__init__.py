"""What clients do meanwhile: Locust users, the constant-rate probe, the ledger of acknowledged writes."""
