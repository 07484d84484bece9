"""What METRICS.md says, read literally and slowly over the whole history: what the pipeline is measured against.

It shares no code with the product. `metrics.reckon` is the whole of it; where the page leaves something open, the
reading chosen stands in that module's docstring.
"""
