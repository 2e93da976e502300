"""Named arrays of numbers in .npz, .safetensors, .parquet and .csv files, read in blocks of rows."""
