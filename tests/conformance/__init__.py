"""The worked cases every number must pass, and what runs them: purely, or against a live stack."""
