"""Named arrays of numbers in .npz, .safetensors, .parquet and .csv files, read a block of rows at a time."""
