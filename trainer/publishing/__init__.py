"""What a published version consists of."""
