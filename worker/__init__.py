"""The program that reads events, assigns each user to a segment and publishes the result, exactly once."""
