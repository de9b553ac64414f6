"""Parts of batch scoring: chunked reading of rows, and writing of the file with added columns."""
