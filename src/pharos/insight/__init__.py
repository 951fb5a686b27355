"""What it meant and cost: the ledger, journeys, metrics, and the views they are read from."""
