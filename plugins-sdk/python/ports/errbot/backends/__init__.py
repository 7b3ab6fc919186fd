"""The one network that there is: XMPP."""
