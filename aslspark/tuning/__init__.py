"""Searches for settings that read better; nothing here is imported by the jobs that train."""
