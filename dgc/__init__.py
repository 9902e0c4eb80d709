"""The front door: what ``dgc`` can be told to do, on the command line."""
