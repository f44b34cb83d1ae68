"""Files in place, whole or not at all: documents, pages, artefacts, bundles."""
