"""Ports, and the engines behind them."""
