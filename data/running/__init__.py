"""What every stage that reads or writes rows runs on: rows, their text, tokens and batches."""
