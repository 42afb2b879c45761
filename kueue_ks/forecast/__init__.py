"""What the controllers would decide, asked of their own code, from objects that were read once."""
