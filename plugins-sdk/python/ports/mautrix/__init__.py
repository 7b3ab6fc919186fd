"""The names of Matrix that plugins of maubot use, on parlor. It has no code of the library of this name."""

#: Plugins name it in their requests over the web.
__version__ = "parlor"
