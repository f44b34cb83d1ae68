"""The folder that a template finds its first module in: nothing else is there for user code to import."""
