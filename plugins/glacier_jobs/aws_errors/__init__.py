"""Errors of AWS's SDK as errors of this package."""
