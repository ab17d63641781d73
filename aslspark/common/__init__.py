"""Settings, errors, paths, labels, redaction and the Spark session, for all rooms. It imports no other room."""
