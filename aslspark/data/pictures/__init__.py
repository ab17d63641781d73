"""Pictures in files: folders, manifests, zips and DataFrames, found on the driver and decoded in Spark."""
