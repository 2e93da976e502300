"""Studies: schema, expansion into runs, verdicts. Each study is a folder of package data."""
