"""Why a plugin does not start: an `activate` that raises one of these ends with it in the log."""


class PluginActivationException(Exception):
    """The plugin cannot start."""


class PluginConfigurationException(PluginActivationException):
    """Its settings are not what they should be."""
