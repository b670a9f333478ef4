"""What operators see of a running worker: logs, metrics, health, HTTP."""
