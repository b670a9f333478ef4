"""Everything that imports a Kafka client."""
