"""What a database may not do, looked for in the stored history of its clients. Pure functions, nothing else.

The methods are those of Elle (Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental
Observations", VLDB 14, 2020) with the phenomena of Adya, Liskov and O'Neil ("Generalized Isolation Level Definitions",
ICDE 2000). What MariaDB Galera allows without any fault is told apart from what only a fault of the platform, or a
defect, explains: see `reports.consistency.findings`.
"""
