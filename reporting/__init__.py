"""The report's parts: reading of the outputs, numbers, comparison, analysis, pictures, the page, plots."""
