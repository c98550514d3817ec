"""What every tab has alike."""
