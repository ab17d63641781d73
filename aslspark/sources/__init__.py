"""Where samples come from: pixel tables, tables in memory, and how their rows are divided."""
