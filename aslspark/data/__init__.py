"""Tables and pictures -> samples with splits, and a quarantine; one reader for each kind of source."""
