from .bot import LookupBot
