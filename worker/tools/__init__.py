"""Offline commands; nothing above imports them."""
