"""The version of errbot whose names the layer has."""

VERSION = "6.2.0"
