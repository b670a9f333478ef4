"""What happens to an event: read, process, commit; without a Kafka client, HTTP or files."""
