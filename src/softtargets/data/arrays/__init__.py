"""Named arrays of numbers in .npz, .npy, .safetensors, .parquet and .csv files, read in blocks of rows."""
