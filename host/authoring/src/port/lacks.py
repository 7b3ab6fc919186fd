"""The things that plugins of other frameworks use and parlor lacks, each with the reason and a replacement.

Each entry is written from the use of published plugins and from what parlor's own pages say. A name that stands in none of these
tables and not in the layer either is reported as unknown to the layer.
"""

FILES = "a plugin has no files: `storage` keeps data, and what it reads at the top of a module is read while it is built"
THREADS = "a plugin is one thread: `start_poller`, or `parlor.spawn` with an `async def`"
PROGRAMS = "a plugin starts no programs: ask a service over the web in its place"
NETWORK = "a plugin has no sockets: requests over the web go by `requests` or `parlor.http`"

STORAGE = "`parlor.storage`, with keys, ranges and counters: .parlor/docs/author/data.md"
SQLITE = (
    "it is one of SQLite in memory, and its pages are stored: it has at most 4 MiB, a transaction changes at most 240 KiB, and nothing that"
    " only PostgreSQL has works",
    "nothing, if that is enough; else " + STORAGE,
)

#: Modules of Python that do nothing in a plugin: why, and what to use.
MODULES = {
    "threading": ("there are no threads", THREADS),
    "_thread": ("there are no threads", THREADS),
    "queue": ("there are no threads to wait for", "`asyncio.Queue`"),
    "multiprocessing": ("there are no processes", THREADS),
    "concurrent.futures": ("there are no threads", THREADS),
    "subprocess": ("there are no other programs", PROGRAMS),
    "socket": ("there is no network but the host's", NETWORK),
    "ssl": ("there is no network but the host's", NETWORK),
    "select": ("there is no network but the host's", NETWORK),
    "smtplib": ("there is no network but the host's", "a service that takes mail over the web"),
    "imaplib": ("there is no network but the host's", "a service that gives mail over the web"),
    "ftplib": ("there is no network but the host's", NETWORK),
    "telnetlib": ("there is no network but the host's", NETWORK),
    "http.client": ("there is no network but the host's", NETWORK),
    "http.server": ("there is no network but the host's", "`[webhook.NAME]` in plugin.toml, and `@on(\"webhook\")`"),
    "xmlrpc.client": ("there is no network but the host's", NETWORK),
    "shelve": ("there are no files", "`self[key]`, or `parlor.storage`"),
    "dbm": ("there are no files", "`self[key]`, or `parlor.storage`"),
    "ctypes": ("there are no libraries in other languages", "code that is all Python"),
    "tempfile": ("there are no files", "`io.BytesIO`"),
    "shutil": ("there are no files", FILES),
    "glob": ("there are no files", FILES),
    "pdb": ("there is no terminal", "`self.log`, and `parlor plugin test`"),
}

#: Parts of `threading` that work with one thread.
LOCKS = {"Lock", "RLock", "local", "current_thread", "get_ident", "main_thread"}
LOCK = ("a plugin is one thread, which would wait for itself if a handler waits while it holds the lock", "`asyncio.Lock`, with `async with`, or `threading.RLock`")

#: Calls of Python that do nothing in a plugin.
CALLS = {
    "sqlite3.connect": ("there are no files: a database is in memory, and gone when the plugin ends", "`self[key]`, or " + STORAGE),
    "os.system": ("there are no other programs", PROGRAMS),
    "os.popen": ("there are no other programs", PROGRAMS),
    "os.environ": ("a plugin has no environment", "`[settings.NAME]` in plugin.toml, and `parlor.setting`"),
    "os.getenv": ("a plugin has no environment", "`[settings.NAME]` in plugin.toml, and `parlor.setting`"),
    "os.environ.get": ("a plugin has no environment", "`[settings.NAME]` in plugin.toml, and `parlor.setting`"),
    "os.listdir": ("there are no files", FILES),
    "os.makedirs": ("there are no files", FILES),
    "os.mkdir": ("there are no files", FILES),
    "os.remove": ("there are no files", FILES),
    "os.path.exists": ("there are no files", FILES),
    "os.path.isfile": ("there are no files", FILES),
    "urllib.request.urlretrieve": ("there are no files", "`urlopen(…).read()`"),
    "urllib.request.build_opener": ("the host makes the requests", "`requests` or `parlor.http`, with headers"),
    "urllib.request.install_opener": ("the host makes the requests", "`requests` or `parlor.http`, with headers"),
    "asyncio.create_subprocess_exec": ("there are no other programs", PROGRAMS),
    "asyncio.create_subprocess_shell": ("there are no other programs", PROGRAMS),
    "importlib.import_module": ("where a plugin runs there are no files to import from", "`import` at the top of the module"),
    "sys.exit": ("a plugin does not end itself", "`return`"),
    **{f"inspect.{name}": ("where a plugin runs there are no files, and no source", "`inspect.getdoc`, or a text of the plugin's own") for name in (
        "getsource", "getsourcelines", "getsourcefile", "getfile", "findsource")},
    "signal.signal": ("there are no signals", "`deactivate` or `stop`, which run when the plugin ends"),
}

AT_ONCE = ("a plugin is one thread: the function runs there, and nothing else of the plugin goes on before it returns or waits", "nothing, if it is quick")
CHOSEN = ("it is chosen while the plugin runs, where there are no files: plugin.py imports all that may be meant", "nothing")
ENVIRONMENT = ("a plugin has no environment: plugin.toml has a setting in its place", "nothing, once the owner has set it")
GONE = "it is gone from the Python that plugins run in, 3.14"
CALLS |= {f"ast.{name}": (GONE, "`ast.Constant`") for name in ("Num", "Str", "Bytes", "NameConstant", "Ellipsis")}
CALLS |= {
    f"collections.{name}": (GONE, f"`collections.abc.{name}`")
    for name in ("Mapping", "MutableMapping", "Sequence", "Iterable", "Iterator", "Callable", "Hashable", "Set")
}
CALLS |= {
    name: (GONE, instead)
    for name, instead in (
        ("inspect.getargspec", "`inspect.signature`"), ("inspect.formatargspec", "`inspect.signature`"), ("asyncio.coroutine", "`async def`"),
        ("asyncio.Task.all_tasks", "`asyncio.all_tasks`"), ("asyncio.Task.current_task", "`asyncio.current_task`"),
        ("re.TEMPLATE", "nothing: it had no effect"), ("re.T", "nothing: it had no effect"), ("time.clock", "`time.perf_counter`"),
        ("locale.format", "`locale.format_string`"), ("configparser.SafeConfigParser", "`configparser.ConfigParser`"),
        ("base64.encodestring", "`base64.encodebytes`"), ("base64.decodestring", "`base64.decodebytes`"), ("fractions.gcd", "`math.gcd`"),
        ("string.letters", "`string.ascii_letters`"), ("string.lowercase", "`string.ascii_lowercase`"),
        ("string.uppercase", "`string.ascii_uppercase`"), ("string.maketrans", "`str.maketrans`"), ("string.join", "`\" \".join(…)`"),
        ("inspect.ArgSpec", "`inspect.FullArgSpec`"), ("inspect.getmoduleinfo", "`inspect.getmodulename`"), ("platform.linux_distribution", "nothing"),
        ("platform.dist", "nothing"), ("plistlib.readPlist", "`plistlib.load`"),
        ("plistlib.writePlist", "`plistlib.dump`"), ("os.popen2", PROGRAMS), ("os.popen3", PROGRAMS),
        ("pkgutil.find_loader", "`importlib.util.find_spec`"), ("pkgutil.get_loader", "`importlib.util.find_spec`"), ("asyncio.JoinableQueue", "`asyncio.Queue`"),
        ("importlib.find_loader", "`importlib.util.find_spec`"), ("ssl.wrap_socket", NETWORK), ("ssl.match_hostname", NETWORK),
        ("unittest.makeSuite", "`unittest.TestLoader`"), ("locale.resetlocale", "`locale.setlocale`"), ("random.jumpahead", "nothing"),
        ("html.parser.HTMLParseError", "nothing: it is never raised"), ("itertools.izip", "`zip`"), ("itertools.imap", "`map`"), ("itertools.ifilter", "`filter`"), ("os.errno", "`errno`"),
        ("os.getcwdu", "`os.getcwd`"), ("urllib.urlopen", "`urllib.request.urlopen`"), ("urllib.urlencode", "`urllib.parse.urlencode`"),
        ("urllib.quote", "`urllib.parse.quote`"), ("urllib.quote_plus", "`urllib.parse.quote_plus`"), ("urllib.unquote", "`urllib.parse.unquote`"),
    )
}
#: Modules that are gone, of which the part before the last point is there.
MODULES_GONE = {"xml.etree.cElementTree": (GONE, "`xml.etree.ElementTree`"), "typing.io": (GONE, "`typing`"), "typing.re": (GONE, "`re`")}
#: Methods that are gone, each with the beginning of the name of a module that the file imports then, and a replacement.
METHODS_GONE = {
    "getchildren": ("xml.", "`list(element)`"), "getiterator": ("xml.", "`element.iter()`"), "unescape": ("html.parser", "`html.unescape(text)`"),
    "readfp": ("configparser", "`read_file`"), "isAlive": ("threading", "`is_alive`"), "tostring": ("array", "`tobytes`"), "fromstring": ("array", "`frombytes`"),
}
#: Options of functions that are gone, with a replacement.
OPTIONS_GONE = {
    ("json.loads", "encoding"): "nothing: bytes are read as what they are", ("json.load", "encoding"): "nothing: bytes are read as what they are",
    ("json.dumps", "encoding"): "nothing: it returns a text", ("random.shuffle", "random"): "`random.Random(…).shuffle`",
    **{(f"asyncio.{name}", "loop"): "nothing: it is the loop that runs" for name in (
        "sleep", "wait", "wait_for", "gather", "Queue", "Lock", "Event", "Semaphore", "Condition", "shield", "as_completed")},
}
OUTSIDE = ("the module is in no package, so that Python imports nothing beside it in this way", "the import without the dots")
#: Methods of `ast.NodeVisitor` that are no longer called.
VISITS = {"visit_Num": "n", "visit_Str": "s", "visit_Bytes": "s", "visit_NameConstant": "value"}

#: Modules, names and methods of Python 2, with those of Python 3.
OF_PYTHON_2 = "it is Python 2"
MODULES_OF_PYTHON_2 = {
    "urllib2": "`urllib.request`", "urlparse": "`urllib.parse`", "httplib": "`requests`", "ConfigParser": "`configparser`", "StringIO": "`io.StringIO`",
    "cStringIO": "`io.StringIO`", "cPickle": "`json`", "HTMLParser": "`html.parser`", "htmlentitydefs": "`html.entities`", "Queue": "`asyncio.Queue`",
    "xmlrpclib": "`requests`", "commands": PROGRAMS, "sets": "`set`", "md5": "`hashlib.md5`", "sha": "`hashlib.sha1`", "__builtin__": "`builtins`",
}
NAMES_OF_PYTHON_2 = {
    "unicode": "`str`", "basestring": "`str`", "xrange": "`range`", "unichr": "`chr`", "long": "`int`", "raw_input": "nothing", "execfile": "`import`",
    "cmp": "`key=…`", "reload": "nothing", "izip": "`zip`", "reduce": "`functools.reduce`",
}
#: The end of generators before Python 3.7.
ENDED = ("in a generator it is a `RuntimeError` since Python 3.7", "`return`")
METHODS_OF_PYTHON_2 = {"has_key": "`key in mapping`", "iteritems": "`.items()`", "itervalues": "`.values()`", "iterkeys": "`.keys()`"}
MODULES |= {
    name: (GONE, instead)
    for name, instead in (
        ("imp", "`import` at the top of the module"), ("distutils", "nothing"), ("cgi", "`html.escape`, `urllib.parse`"), ("pipes", "`shlex`"),
        ("crypt", "`hashlib.scrypt`"), ("asynchat", NETWORK), ("asyncore", NETWORK), ("nntplib", NETWORK), ("imghdr", "nothing"),
        ("lib2to3", "nothing"), ("cgitb", "`traceback`"), ("sndhdr", "nothing"), ("uu", "`binascii`"), ("xdrlib", "`struct`"),
    )
}

#: Packages with parts in other languages, or that need files or a network of their own: they do not run in a plugin.
FOREIGN = {
    "lxml": ("it has parts in C", "`parlor.parse_xml`, or `xml.etree.ElementTree`"),
    "numpy": ("it has parts in C", "Python's own `statistics` and `math`"),
    "pandas": ("it has parts in C", "Python's own `csv` and `statistics`"),
    "matplotlib": ("it has parts in C", "a service that draws, over the web"),
    "PIL": ("it has parts in C", "a service that works on pictures, over the web"),
    "Crypto": ("its package pycryptodome has parts in C", "`hashlib` and `hmac`; no own ciphers"),
    "Cryptodome": ("its package pycryptodomex has parts in C", "`hashlib` and `hmac`; no own ciphers"),
    "cryptography": ("it has parts in C and Rust", "`hashlib` and `hmac`; no own ciphers"),
    "bcrypt": ("it has parts in C", "`hashlib.scrypt`"),
    "OpenSSL": ("its package pyOpenSSL has parts in C and Rust", "`hashlib` and `hmac`; the host has the connections"),
    "docx": ("its package python-docx needs lxml, which has parts in C", "`zipfile` and `xml.etree.ElementTree`"),
    "cv2": ("its package opencv-python has parts in C", "a service that works on pictures, over the web"),
    "sklearn": ("its package scikit-learn has parts in C", "a service that computes, over the web"),
    "zmq": ("its package pyzmq has parts in C, and needs sockets", "a bridge that speaks HTTP"),
    "ldap": ("its package python-ldap has parts in C, and needs sockets", "a service that asks the directory, over the web"),
    "ldap3": ("it needs sockets", "a service that asks the directory, over the web"),
    "serial": ("there are no devices", "a program beside the bot, and XMPP or HTTP between them"),
    "usb": ("there are no devices", "a program beside the bot, and XMPP or HTTP between them"),
    "MySQLdb": ("its package mysqlclient has parts in C, and needs a server", "`self[key]`, or " + STORAGE),
    "nacl": ("it has parts in C", "`hashlib` and `hmac`"),
    "psycopg2": ("it has parts in C", "`self[key]`, or `parlor.storage`"),
    "alembic": ("it needs SQLAlchemy, and reads files", "statements of SQL, such as `ALTER TABLE`"),
    "sqlalchemy": ("it has parts in C, and needs files or a server", "`self[key]`, or " + STORAGE),
    "asyncpg": ("it has parts in C, and needs a server", "`self[key]`, or " + STORAGE),
    "aiosqlite": ("it needs threads and files", STORAGE),
    "pymongo": ("there are no databases", "`parlor.storage`"),
    "redis": ("there are no databases", "`parlor.storage`"),
    "config": ("a plugin does not read the bot's configuration", "`self.bot_config.NAME` where it is used, of which this program makes a setting"),
    "docker": ("there is no socket to Docker", "a service that does it, over the web"),
    "kubernetes": ("its requests go by sockets of its own", "`requests` to the API of the cluster"),
    "git": ("it starts the program git", "the API of the forge, over the web"),
    "paramiko": ("it needs sockets", "a service that does it, over the web"),
    "boto3": ("its requests go by sockets of its own", "`requests` to the API"),
    "httpx": ("its requests go by sockets of its own", "`requests`, or `parlor.http`"),
    "urllib3": ("its requests go by sockets of its own", "`requests`, or `parlor.http`"),
    "feedparser": ("it fetches by itself; a text can be given to it, if the package is brought along", "`requests`, and `feedparser.parse(text)`"),
    "openai": ("its requests go by sockets of its own", "`requests` to the API"),
    "pyppeteer": ("it starts a browser", "a service that does it, over the web"),
    "selenium": ("it starts a browser", "a service that does it, over the web"),
    "paho": ("it needs sockets", "a bridge that speaks HTTP"),
    "apscheduler": (
        "its schedulers have threads, or import their parts while they run",
        "`self.start_poller(…)`, `self.sched.run_periodically(…)`, or `parlor.schedules.cron(…)`"),
    **{
        name: ("it is another network", "nothing: parlor speaks XMPP")
        for name in ("telegram", "slack_sdk", "slackclient", "slacker", "discord", "zulip", "nio", "mattermostdriver", "telethon", "pyrogram", "aiogram")
    },
    **{
        name: ("its requests go by sockets of its own", "`requests` to the API")
        for name in (
            "github", "gitlab", "jira", "jenkins", "jenkinsapi", "atlassian", "tweepy", "wikipedia", "googleapiclient", "praw", "asyncpraw", "spotipy", "twilio",
            "trello", "pyzabbix", "elasticsearch", "consul", "hvac", "yfinance", "googletrans", "wolframalpha", "pyowm", "requests_oauthlib",
            "youtube_dl", "yt_dlp", "instaloader", "openstack", "botocore", "anthropic",
        )
    },
    **{name: ("it needs a server, and sockets", "`self[key]`, or " + STORAGE) for name in ("pymysql", "aiomysql", "mysql", "psycopg", "motor", "influxdb", "cassandra")},
}

#: Modules with time zones: the package that has them, and the module of the layer that reads it while the plugin is built.
ZONES = {"zoneinfo": ("tzdata", "zones"), "pytz": ("pytz", "zones_of_pytz")}
IN_PACKAGE = "the time zones are in it; they are read while the plugin is built"

#: The packages of well-known modules, by their names for pip.
PACKAGES = {
    "bs4": "beautifulsoup4", "dateutil": "python-dateutil", "yaml": "PyYAML", "attr": "attrs", "dotenv": "python-dotenv",
    "jwt": "PyJWT", "slugify": "python-slugify", "dns": "dnspython", "pkg_resources": "setuptools", "setuptools": "setuptools", "six": "six",
    "jinja2": "jinja2", "pytz": "pytz", "tzdata": "tzdata", "markdown": "Markdown",
    "jose": "python-jose",
    "attrs": "attrs", "simplejson": "simplejson", "tabulate": "tabulate", "croniter": "croniter", "humanize": "humanize", "arrow": "arrow",
    "pendulum": "pendulum", "parsedatetime": "parsedatetime", "dateparser": "dateparser", "unidecode": "Unidecode", "xmltodict": "xmltodict",
    "oauthlib": "oauthlib", "emoji": "emoji", "schedule": "schedule", "tinytag": "tinytag",
    "inflect": "inflect", "pyparsing": "pyparsing", "packaging": "packaging", "cachetools": "cachetools", "html2text": "html2text", "mistune": "mistune",
    "errcron": "errcron",
}

#: Packages that the layer has in part: their names, and the modules of theirs by which plugins import these, too.
PACKAGES_OF_LAYER = {
    "requests": {
        "get", "post", "put", "delete", "patch", "head", "options", "request", "Session", "session", "Response", "exceptions", "codes",
        "RequestException", "HTTPError", "ConnectionError", "Timeout", "ConnectTimeout", "ReadTimeout", "TooManyRedirects", "JSONDecodeError",
        "InvalidURL", "HTTPBasicAuth", "InsecureRequestWarning", "disable_warnings", "urllib3",
    },
    "aiohttp": {
        "ClientSession", "ClientTimeout", "ClientError", "ClientResponseError", "ClientConnectionError", "ClientConnectorError", "ClientOSError",
        "ClientPayloadError", "ContentTypeError", "ClientResponse", "BasicAuth", "DummyCookieJar", "FormData", "InvalidURL", "ServerConnectionError",
        "ServerDisconnectedError", "ServerTimeoutError", "hdrs", "web",
    },
    "asyncpg": {
        "ForeignKeyViolationError", "IntegrityConstraintViolationError", "InterfaceError", "NotNullViolationError", "PostgresError", "Record",
        "UniqueViolationError", "exceptions",
    },
    "yarl": {"URL"},
    "magic": {"from_buffer"},
}
#: The remedies for other names of a package.
IN_PLACE_OF = {"magic": "`magic.from_buffer(data, mime=True)`"}
MODULES_OF_LAYER = {
    "requests": {"api", "auth", "exceptions", "models", "packages", "sessions", "urllib3"},
    "aiohttp": {
        "abc", "client", "client_exceptions", "client_reqrep", "formdata", "helpers", "http_exceptions", "typedefs", "web_request", "web_response",
        "web_exceptions",
    },
    "asyncpg": {"exceptions"},
}

#: Names of `errbot` and its modules that the layer has.
ERRBOT = {
    "errbot": {
        "BotPlugin", "botcmd", "arg_botcmd", "re_botcmd", "webhook", "Message", "CommandError", "ValidationException", "PY2", "PY3",
        "BotFlow", "FLOW_END", "FlowRoot", "botflow", "botmatch", "cmdfilter", "logging", "re",
    },
    "errbot.version": {"VERSION"},
    "errbot.flow": {"BotFlow", "FLOW_END", "FlowNode", "FlowRoot", "botflow"},
    "errbot.backends.base": {
        "Message", "Identifier", "Person", "Room", "RoomOccupant", "RoomError", "RoomNotJoinedError", "RoomDoesNotExistError", "Stream",
        "UserDoesNotExistError", "UserNotUniqueError", "ONLINE", "OFFLINE", "AWAY", "DND", "Reaction", "REACTION_ADDED", "REACTION_REMOVED",
    },
    "errbot.utils": {"drawbar", "format_timedelta", "ValidationException", "recurse_check_structure", "version2tuple"},
    "errbot.botplugin": {"BotPlugin", "BotPluginBase", "CommandError", "ValidationException", "recurse_check_structure"},
    "errbot.errBot": set(),
    "errbot.plugin_manager": {"PluginActivationException", "PluginConfigurationException"},
    "errbot.templating": {"tenv"},
    "errbot.rendering": {"text", "imtext", "md", "md_escape"},
}

COMMANDS_OF_SOURCE = ("commands are those of the source", "one command whose first word says what to do")
#: Names of `errbot` that parlor lacks.
NOT_IN_ERRBOT = {
    "errbot.tenv": ("it is in another module", "`from errbot.templating import tenv`"),
    "errbot.Command": COMMANDS_OF_SOURCE,
    "errbot.repo_manager": ("a plugin installs no plugins", "the owner: `parlor plugin add`"),
    "errbot.core_plugins": ("there are no core plugins", "parlor's own commands"),
    "errbot.backends": ("there is one network, XMPP", "`build_identifier`"),
    "errbot.backends.test": ("a plugin runs no bot of its own", "`tests/*.chat`, with `parlor plugin test`: .parlor/docs/reference/testing.md"),
    "errbot.backends.base.Card": ("XMPP has no cards: they are sent as texts", "`self.send_card(title=…, body=…, in_reply_to=msg)`, without this class"),
    "errbot.backends.base.Presence": ("the layer does not listen to presence", "`@on(\"contactPresenceChanged\")`, with `contacts.read`"),
    "errbot.core": ("a plugin has no hand on the host", "the groupings of parlor"),
    "errbot.rendering": ("XMPP has one way to write: signs for bold and italics (XEP-0393)", "`text()`, or Markdown as it is: the layer makes these signs of it"),
}

#: The tests that come with a plugin, by frameworks.
TESTS = {
    "errbot": (
        "they run a bot of errbot: they are not copied",
        "`tests/NAME.chat`, with `parlor plugin test`: `push_message(\"!tea\")` is `alice: !tea` there, and `pop_message()` the line below, `to alice: …`,"
        " of which `*…* (glob)` is a part, as with `assertInCommand`",
    ),
    "maubot": ("they run in Python, with stand-ins for maubot: they are not copied", "`tests/NAME.chat`, with `parlor plugin test`: `alice: !tea`, and below it `to alice: …`"),
}

FLOWS = (
    "a conversation is over when the plugin ends; in a room, people are told apart by their occupant ids, or by their nicknames if it has none",
    "`parlor.ask_author` for each question, if no flow is needed",
)
NO_STEP = ("no class of this plugin has all commands of this flow, and a plugin gives no command of another one", "commands of one class")
FILTER = (
    "it is asked about the commands of this plugin alone, and a command that a filter fails for is not carried out",
    "`@parlor.hooks.commands` for commands of other plugins, with the permission `hooks.commands` and a place in the owner's order",
)
UNPROCESSED = ("a plugin does not hear of commands that nobody has", "nothing: the host answers them")

#: Attributes of a plugin of errbot that parlor lacks.
OF_SELF = {
    "_bot": ("a plugin has no hand on the host", "`self.send`, `self.build_identifier`, or the groupings of parlor"),
    "bot": ("a plugin has no hand on the host", "`self.send`, `self.build_identifier`, or the groupings of parlor"),
    "bot_config": ("a plugin does not read the host's configuration", "`[settings.NAME]` in plugin.toml"),
    "plugin_dir": ("a plugin has no files", FILES),
    "plugins": (
        "a plugin has no hand on another one, unless both are of one folder", "a folder with both and their .plug files; or `parlor.plugins`: requests to other plugins"),
    "create_dynamic_plugin": COMMANDS_OF_SOURCE,
    "destroy_dynamic_plugin": COMMANDS_OF_SOURCE,
    "warn_admins": ("a plugin is not told who its owners are", "`self.log.warning`: `parlor status` and the log show it"),
    "inject_commands_from": ("commands are those of the source", "the decorators"),
    "program_next_poll": ("it is no function for plugins", "`self.start_poller`"),
    "change_presence": ("several plugins share the account", "`await parlor.user.set_status(…)`, with the permission `status.write`"),
    "prefix_groupchat_reply": ("the host answers in the place of the question", "nothing"),
    "set_message_size_limit": ("the limit is the host's", "nothing"),
}

#: The attribute that tells the network.
MODE = "self._bot.mode"
#: Attributes of the bot and its configuration that the layer has. Those with PREFIX are about the prefix of commands.
OF_BOT = {
    MODE, *(f"self._bot.{name}" for name in ("build_identifier", "query_room", "rooms", "bot_identifier", "send")),
    "self._bot.prefix", *(f"self.{of}.{name}" for of in ("bot_config", "_bot.bot_config") for name in ("BOT_PREFIX", "BOT_ALT_PREFIXES")),
}

#: Parts of the bot's configuration that plugins use.
OF_CONFIG = {
    "BOT_ADMINS": (OF_SELF["warn_admins"][0], "`@botcmd(admin_only=True)` for a whole command"),
    "BOT_IDENTITY": ("a plugin does not log in", "`self.bot_identifier` for the address"),
    "CHATROOM_FN": ("rooms may give the account different nicknames", "`parlor.rooms.get(room).nick`, or `[settings.NAME]` in plugin.toml"),
    "CHATROOM_PRESENCE": ("a plugin does not read the host's configuration", "`self.rooms()`, which are those that the account is in"),
}

#: A name of another network: of a room or a person, by its sign.
OF_OTHERS = ("#", "@", "~")
#: An address of another network, which begins with a sign.
NO_ADDRESS = ("it is a name of another network", "a JID, such as `room@rooms.example.org`; a setting of the type `jid` if it differs")

EXTRAS = ("messages of XMPP have no data of another network: it is empty", "`msg.of_parlor.extensions`, which has what parlor knows of a message")

#: Functions that errbot calls, and the layer does not.
UNCALLED = {
    "callback_presence": ("the layer does not listen to presence", "`@on(\"contactPresenceChanged\")`, with `contacts.read`"),
    "callback_botmessage": ("a plugin does not hear what it says itself", "`@on(\"message\", own=True)`"),
}

JINJA = "templates need it"
NO_TEMPLATE = ("there is no such file", "the file, in the folder of the plugin")

#: Methods of messages of errbot before 4.
OLD_MESSAGES = {"getFrom": "frm", "getTo": "to", "getBody": "body", "getType": "type", "getMuckNick": "nick", "getMuckRoom": "room"}

#: Names of `maubot` and `mautrix` that the layer has.
MAUBOT = {
    "maubot": {"Plugin", "PluginWebApp", "MessageEvent", "__version__"},
    "maubot.client": {"Client", "MaubotMatrixClient"},
    "maubot.handlers": {"command", "event", "web"},
    "maubot.handlers.command": {"new", "argument", "passive", "Argument", "ArgumentSyntaxError", "CommandHandler", "CommandHandlerFunc"},
    "maubot.handlers.event": {"on", "off"},
    "maubot.handlers.web": {"get", "head", "post", "put", "patch", "delete"},
    "maubot.loader": {"BasePluginLoader", "PluginLoader", "PluginMeta"},
    "maubot.matrix": {"MaubotMatrixClient", "MaubotMessageEvent", "parse_formatted"},
    "maubot.plugin_base": {"Plugin"},
    "mautrix": {"types", "__version__"},
    "mautrix.crypto": {"attachments"},
    "mautrix.crypto.attachments": {"decrypt_attachment"},
    "mautrix.types": {
        "EventType", "MessageType", "Format", "RoomID", "UserID", "EventID", "RoomAlias", "ContentURI", "TextMessageEventContent",
        "MessageEvent", "ReactionEvent", "RelatesTo", "RelationType", "Event", "GenericEvent", "MessageEventContent", "SerializableAttrs",
        "Serializable", "InReplyTo", "MediaInfo", "ImageInfo", "FileInfo", "VideoInfo", "AudioInfo", "ThumbnailInfo", "MediaMessageEventContent",
        "Membership", "MemberStateEventContent", "StateEvent", "StrippedStateEvent", "RedactionEvent", "Member", "BaseMessageEventContent",
        "CanonicalAliasStateEventContent", "ExtensibleEnum", "JSON", "PowerLevelStateEventContent", "ReactionEventContent",
        "RoomCreateStateEventContent", "RoomNameStateEventContent", "RoomTopicStateEventContent", "SerializableEnum", "SerializerError",
        "PaginationDirection", "deserializer", "serializer", "BaseFileInfo", "BaseRoomEvent", "EncryptedEvent", "EncryptedFile", "EncryptedMegolmEventContent",
        "MatrixURI", "Obj", "RoomCreatePreset", "RoomDirectoryVisibility", "field", "JoinRule", "JoinRulesStateEventContent", "RoomType",
        "DeviceID", "EncryptionAlgorithm", "HistoryVisibility", "Lst", "RoomAvatarStateEventContent", "RoomEncryptionStateEventContent",
        "RoomHistoryVisibilityStateEventContent", "RoomPinnedEventsStateEventContent", "RoomTombstoneStateEventContent", "SpaceChildStateEventContent",
        "SpaceParentStateEventContent", "StateEventContent", "SyncToken", "media_reply_fallback_body_map",
    },
    "mautrix.client": {"Client", "InternalEventType", "MembershipEventDispatcher", "SyncStream"},
    "mautrix.util.config": {"BaseProxyConfig", "ConfigUpdateHelper", "RecursiveDict"},
    "mautrix.util": {"async_db", "config", "background_task", "formatter", "magic", "markdown"},
    "mautrix.util.magic": {"mimetype"},
    "mautrix.util.async_db": {"Connection", "Database", "Scheme", "UpgradeTable"},
    "mautrix.util.formatter": {"parse_html"},
    "mautrix.util.markdown": {"render"},
    "mautrix.util.logging": {"TraceLogger"},
    "mautrix.errors": {
        "MatrixRequestError", "MNotFound", "MForbidden", "MUnknown", "MRoomInUse", "MBadState", "MLimitExceeded", "MatrixResponseError", "MatrixConnectionError",
        "MatrixUnknownRequestError", "IntentError", "MatrixError", "MatrixStandardRequestError", "MatrixBadRequest", "MBadJSON",
    },
}
#: The same, by the modules of the library that they come from.
MAUBOT |= {
    f"mautrix.types.{name}": MAUBOT["mautrix.types"]
    for name in (
        "event", "event.account_data", "event.base", "event.encrypted", "event.generic", "event.message", "event.reaction", "event.redaction", "event.state",
        "event.type", "matrix", "media", "misc", "primitive", "users", "util", "util.enum", "util.obj", "util.serializable", "util.serializable_attrs",
    )
}
MAUBOT |= {f"mautrix.util.config.{name}": MAUBOT["mautrix.util.config"] for name in ("base", "proxy", "recursive_dict")}
MAUBOT |= {f"mautrix.errors.{name}": MAUBOT["mautrix.errors"] for name in ("base", "request", "well_known")}
#: The values of types with names.
VALUES = {
    "MessageType": {"TEXT", "NOTICE", "EMOTE", "IMAGE", "VIDEO", "AUDIO", "FILE", "LOCATION", "STICKER"},
    "Format": {"HTML"},
    "PaginationDirection": {"FORWARD", "BACKWARD"},
    "RoomCreatePreset": {"PRIVATE", "TRUSTED_PRIVATE", "PUBLIC"},
    "RoomDirectoryVisibility": {"PRIVATE", "PUBLIC"}, "RoomType": {"SPACE"}, "JoinRule": {"PUBLIC", "INVITE", "PRIVATE"},
    "RelationType": {"REPLACE", "ANNOTATION", "REFERENCE", "THREAD", "REPLY"},
    "Membership": {"JOIN", "LEAVE", "BAN", "INVITE", "KNOCK"},
}

#: Names of `maubot` and `mautrix` that parlor lacks.
NOT_IN_MAUBOT = {
    "maubot.handlers.web": ("requests come by the host, at the addresses of webhooks", "`@web.post(…)`, or `[webhook.NAME]` in plugin.toml"),
    "mautrix.util.async_db": ("the layer has a small database of SQLite, and no more of this", "`Database`, `UpgradeTable`, or " + STORAGE),
    "maubot.loader": ("a plugin has no files", FILES),
    "mautrix.api": ("there is no server of Matrix to ask", "`self.client` has what the layer offers"),
    "mautrix.client": ("there is no client of Matrix", "`self.client` has what the layer offers"),
    "mautrix.util.formatter": ("messages of XMPP are texts", "`parse_html`, which gives the text that HTML shows"),
    "mautrix.util.manhole": ("nobody can run code in a plugin", "nothing"),
    "mautrix.crypto.attachments": ("the host encrypts and decrypts files", "`await parlor.files.upload(…, encrypted=True)`"),
    "mautrix.crypto": ("there is no encryption of Matrix", "nothing"),
}

#: Attributes of a plugin of maubot that parlor lacks.
OF_PLUGIN = {
    "database": ("maubot.yaml does not ask for it", "`database: true` there, with `database_type: asyncpg` for its functions; or " + STORAGE),
    "webapp": ("maubot.yaml does not turn it on", "`webapp: true` there, and port it again"),
    "webapp_url": ("maubot.yaml does not turn it on", "`webapp: true` there, and port it again"),
    "scheduler": ("the layer has no scheduler", "`self.sched.run_periodically(…)`, `parlor.schedules.cron(…)`"),
}

#: The calls of `self.loader` for files.
READS = {"read_file", "sync_read_file", "list_files", "sync_list_files"}
#: Attributes of the layer's `self.client`.
CLIENT = {
    "api", "mxid", "send_text", "send_notice", "send_emote", "send_message", "send_message_event", "send_markdown", "react", "redact", "get_event",
    "get_displayname", "get_profile", "join_room", "leave_room", "get_joined_rooms", "set_typing", "upload_media", "download_media", "send_file", "send_image", "send_sticker",
    "add_dispatcher", "remove_dispatcher", "kick_user", "ban_user", "unban_user", "invite_user", "get_joined_members", "join_room_by_id",
    "get_state_event", "get_state", "get_members", "parse_user_id", "resolve_room_alias", "send_receipt", "send_state_event", "whoami",
    "create_room", "get_account_data", "set_account_data", "get_messages", "state_store",
}
#: Attributes of its `state_store`.
STORE = {"has_power_level"}
#: The data of commands, such as `self.help.__mb_full_help__`.
OF_COMMANDS = {
    f"__mb_{name}__" for name in ("name", "help", "func", "prefix", "usage", "usage_args", "usage_inline", "usage_without_subcommands", "full_help")
}
REDACTS = ("a message of somebody else is taken back by the room, if the owner grants `rooms.moderate` and the room knows XEP-0425", "nothing")
#: Attributes of `self.sched`.
SCHED = {"run_later", "run_periodically"}
NO_SCHED = ("the layer's scheduler does not have it", "`self.sched.run_periodically(…)`, `parlor.schedules.cron(…)`, `parlor.after(…)`")
MXC = ("it is an address of a file of Matrix", "the address that `self.client.upload_media(…)` gives, or one of the web")
NO_HISTORY = ("the layer's client reads no history", "`parlor.archive`, with the permission `archive.read`: reference/api/archive.md")
HISTORY = (
    "it reads the server's or the room's archive: plugin.toml asks for `archive.read`. It gives messages, without reactions and retractions. Of a"
    " filter only senders and types count, and in a room they are `ROOM/NICK`, whoever had the nickname then",
    "nothing, once the owner has granted it",
)
NO_CLIENT = ("the layer's client does not have it", "the groupings of parlor: chats, rooms, files, vcard")

#: Names of packages for web servers that the layer has, for webhooks of errbot.
WEB_OF_ERRBOT = {
    "bottle": {"abort", "request", "response", "HTTPError", "HTTPResponse", "BaseRequest", "LocalRequest"},
    "flask": {"abort", "request", "Request", "Response", "jsonify", "make_response"},
}
NO_WEB_SERVER = ("there is no web server: the host serves the requests", "what `@webhook` gives and returns, or `parlor.webhooks.answer(…)`")

#: Names of `aiohttp.web` that the layer has.
WEB = {
    "Request", "Response", "json_response", "HTTPException", "HTTPOk", "HTTPNoContent", "HTTPBadRequest", "HTTPUnauthorized", "HTTPForbidden",
    "HTTPNotFound", "HTTPMethodNotAllowed", "HTTPConflict", "HTTPUnsupportedMediaType", "HTTPUnprocessableEntity", "HTTPTooManyRequests",
    "HTTPInternalServerError", "HTTPServiceUnavailable",
}
REDIRECTS = ("an answer has no address to go to: there are no redirects", "`web.Response(text=…)` with the address for people to open")


def not_in_web(name: str) -> tuple[str, str]:
    """Returns why the layer does not have a name of `aiohttp.web`, and what to use."""
    last = name.rpartition(".")[2]
    is_redirect = last in ("HTTPFound", "HTTPSeeOther", "HTTPMovedPermanently", "HTTPTemporaryRedirect", "HTTPPermanentRedirect", "HTTPRedirection")
    return REDIRECTS if is_redirect else NOT_IN_MAUBOT["maubot.handlers.web"]


WEB_OFF = ("maubot.yaml does not turn it on, so that it is not called, as before", "`webapp: true` there, and port it again")
BELOW = "its address is the host's, and the path of the source stands below it"
NO_PAGE = (
    "a browser shows what it answers without scripts, styles and pictures, and there are no redirects",
    "nothing, if a service asks for it",
)
NEW_ADDRESS = BELOW + ", and nobody verifies who sends, as before: `verify = \"none\"`"
#: The methods of the layer's `self.webapp`.
WEBAPP = {"add_route", "add_get", "add_head", "add_post", "add_put", "add_patch", "add_delete", "clear", "router"}
SECRET_ADDRESS = ("it is the address of the webhook, which is a secret: who has it can send requests", "a message to the owner, and no line of the log")
SOME_HEADERS = ("a webhook gets no other headers than plugin.toml lists", "list them by `headers` in plugin.toml")
NO_HEADER = ("it is the host's to read, so that the plugin never gets it", "`verify = \"bearer\"` or `\"basic\"`, and `secret`, in plugin.toml")
#: Attributes of a request that the layer lacks.
OF_REQUEST = {
    **dict.fromkeys(("remote", "transport", "host", "path", "path_qs", "scheme", "secure"), (
        "the host has the connection, and does not tell", "a secret, by `verify` and `secret` in plugin.toml")),
    **dict.fromkeys(("url", "rel_url"), ("the address is the host's", "`req.query`, or `await parlor.webhooks.address(\"NAME\")`")),
    **dict.fromkeys(("cookies", "get_cookie"), ("there are no cookies", "the query")),
    **dict.fromkeys(("files", "stream"), ("the layer takes no forms with files", "the body")),
    **dict.fromkeys(("remote_addr", "remote_route", "environ", "fullpath", "script_name", "urlparts", "base_url"), (
        "the host has the connection, and does not tell", "a secret, by `verify` and `secret` in plugin.toml")),
    "multipart": ("the body is there as a whole", "`await req.read()`"),
    **dict.fromkeys(("app", "config_dict", "loop"), ("there is no web server", "`self`")),
}

PLAIN_FILES = (
    "everybody who is given its address can read it, and it is plain on the server, also in an encrypted chat",
    "`await parlor.files.upload(…, encrypted=True)` for encrypted chats",
)
ANY_FILES = ("the text does not name all their media types, so that plugin.toml asks for files of every kind", "name them in the scope of \"files.send\"")

READ_FILES = (
    "the plugin gets files of at most 8 MiB, and of messages that came since its start: anybody may send one",
    "`parlor.files.open(…)`, which reads a file in parts",
)
FIRST_READ = ("each file is read before it is called, also one that it rejects", "`@on(\"message\")`, `message.files` and `parlor.files.open(…)`")

SAVED = ("settings are the owner's: a change lasts until the plugin ends", "`await parlor.storage.set(…)`, with the permission `storage`")

#: Events of `EventType` that the layer passes on.
EVENTS = {"ROOM_MESSAGE", "REACTION", "ROOM_MEMBER", "ROOM_REDACTION", "ROOM_POWER_LEVELS", "ROOM_NAME", "ROOM_TOPIC", "ALL"}
HEARD = {"m.room.message", "m.reaction", "m.room.member", "m.room.redaction", "m.room.power_levels", "m.room.name", "m.room.topic"}
#: Those that the layer tells as states of a room.
STATES = {"ROOM_MEMBER", "ROOM_POWER_LEVELS", "ROOM_NAME", "ROOM_TOPIC", "ROOM_CANONICAL_ALIAS", "ROOM_CREATE", "ROOM_JOIN_RULES"}
#: Those of data of the account.
DATA = {"DIRECT"}
#: Those that never happen in rooms of XMPP. A plugin that listens to them besides works without.
NEVER = {"ROOM_TOMBSTONE": "m.room.tombstone", "ROOM_ENCRYPTED": "m.room.encrypted", "STICKER": "m.sticker"}
NEVER_HAPPENS = ("it never happens in XMPP, so that the method is not called", "nothing")
LEVELS = (
    "levels are made of what somebody is in the room at that moment: 100 for owners and admins, 50 for moderators, -1 for visitors, 0 for others and in chats",
    "nothing",
)
ALIASES = (
    "the host has to know the names of commands: the texts of the settings and of the function are tried when the plugin starts",
    "nothing, if the names are among them; else a list of names",
)
NO_STATE = ("XMPP has no such state, or the layer does not tell it: `MNotFound`", "`parlor.rooms.get(room)`: reference/api/rooms.md")
NO_EVENT = ("the layer passes on messages, reactions, retractions, invitations, levels, names and subjects of rooms, and who enters and leaves rooms", "`parlor.on(…)`: reference/events.md names all events")
OFF = ("nobody but the plugin calls it; with an event alone, it is called if its regular expression is found there", "nothing, if that is what it needs")
BY_NAME = (
    "in a room, an author is `ROOM/NICK`, and others can take the nickname. A list with the author's own JID has it, if the room shows it and"
    " the owner grants `rooms.read`; a set, a mapping and a list of addresses of another network do not"
)
#: The types of events about people in rooms.
OF_MEMBERS = {"ROOM_MEMBER", "m.room.member", *(f"InternalEventType.{name}" for name in ("JOIN", "LEAVE", "KICK", "BAN", "INVITE", "PROFILE_CHANGE"))}
MEMBERS = (
    "people enter a room each time that they log in, as `ROOM/NICK`, and have another address after a new nickname; invitations are those of the"
    " account itself",
    "`@parlor.on(\"roomInviteSent\")`, `\"affiliationChanged\"`",
)
TAKEN_BACK = (
    "XMPP lets anybody write a retraction: the layer passes on those of moderators, and those whose author it can verify, in rooms by occupant"
    " ids. The same applies to reactions that are withdrawn",
    "nothing",
)
