"""Helpers that plugins of maubot use."""
