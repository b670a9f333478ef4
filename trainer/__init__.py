"""From a history of users to a stored version of their segmentation, and the rule over which version is served."""
