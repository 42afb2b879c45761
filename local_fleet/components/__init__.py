"""The programs of a fleet: their flags, why each unusual one is there, and when they count as ready."""
