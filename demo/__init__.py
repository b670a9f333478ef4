"""A real Kafka in a box, generated users, and one command that shows all of it working."""
