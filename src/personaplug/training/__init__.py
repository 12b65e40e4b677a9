"""Fits a plug with transformers' own trainer."""
